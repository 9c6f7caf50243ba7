/** The value below which a share `p` of the samples lies; NaN when there are none. */
export function quantile(samples: number[], p: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? NaN
}

/** The middle one; of an even number the mean of both. */
export function median(samples: number[]): number {
  const sorted = [...samples].sort((a, b) => a - b)
  const half = sorted.length / 2
  return ((sorted[Math.ceil(half) - 1] ?? NaN) + (sorted[Math.floor(half)] ?? NaN)) / 2
}

/** Median by median of rounds that were measured side by side, so that noise hits both alike. */
export function ratios(ours: number[][], theirs: number[][]): number[] {
  return ours.map((round, i) => median(round) / median(theirs[i] ?? []))
}
