/** Names of resource limits (getrlimit(2)), as a request has them; the launcher knows their numbers. */
export const rlimitNames = [
  'as',
  'core',
  'cpu',
  'data',
  'fsize',
  'locks',
  'memlock',
  'msgqueue',
  'nice',
  'nofile',
  'nproc',
  'rss',
  'rtprio',
  'rttime',
  'sigpending',
  'stack'
] as const
export type RlimitName = (typeof rlimitNames)[number]

/** RLIM_INFINITY. */
export const UNLIMITED = 2n ** 64n - 1n
