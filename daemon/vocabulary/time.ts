/**
 * A time of RFC 3339 in UTC with nine digits of a second, as it stands in a log: such texts compare as their times do.
 * @returns undefined for what is no time that there is, such as a leap second
 */
export function exactTime(text: string): string | undefined {
  const digits = /\.(\d+)/.exec(text)?.[1] ?? ''
  const second = new Date(text.replace(/\.\d+/, ''))
  if (Number.isNaN(second.getTime())) return undefined
  return `${second.toISOString().slice(0, 19)}.${digits.slice(0, 9).padEnd(9, '0')}Z`
}
