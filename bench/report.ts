import { median, quantile } from './stats.js'

/** One line of the table. */
export interface Row {
  what: string
  ours: string
  peer?: string
  /** Ours by the peer's, one for each round. */
  ratios?: number[]
  /** Text of the budget and whether it is kept. */
  budget?: { text: string; met: boolean }
}

export interface Section {
  title: string
  rows: Row[]
}

export const atMost = (value: number, limit: number, unit = '') => ({ text: `<= ${limit}${unit}`, met: value <= limit })
export const atLeast = (value: number, limit: number, unit = '') => ({
  text: `>= ${limit}${unit}`,
  met: value >= limit
})

const inMs = (us: number) => (us / 1000).toFixed(us < 10_000 ? 2 : 1)

/** Microseconds, all rounds together. */
export function times(rounds: number[][]): string {
  const all = rounds.flat()
  return `${inMs(median(all))} ms, p90 ${inMs(quantile(all, 0.9))}`
}

function ratioText(ratios: number[] | undefined): string {
  if (!ratios) return ''
  const [low, high] = [Math.min(...ratios), Math.max(...ratios)]
  return `${median(ratios).toFixed(2)} (${low.toFixed(2)}-${high.toFixed(2)})`
}

const columns = ['contextd', 'peer', 'ratio (range)', 'budget', '']

/** Columns as wide as their widest cell. */
export function table(sections: Section[]): string {
  const lines = sections.flatMap(({ title, rows }) => [
    [title, ...columns],
    ...rows.map(({ what, ours, peer = '', ratios, budget }) => [
      `  ${what}`,
      ours,
      peer,
      ratioText(ratios),
      budget?.text ?? '',
      budget ? (budget.met ? 'pass' : 'FAIL') : ''
    ]),
    []
  ])
  const widths = lines.reduce<number[]>((wide, line) => {
    line.forEach((cell, i) => (wide[i] = Math.max(wide[i] ?? 0, cell.length)))
    return wide
  }, [])
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd()
    )
    .join('\n')
}

export const isMissed = (sections: Section[]) =>
  sections.some(({ rows }) => rows.some((row) => row.budget?.met === false))
