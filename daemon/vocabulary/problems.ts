/** Kinds of problems and what to do about each: of answers, of the document, and of the page that /docs has. */

export interface ProblemKind {
  /** HTTP status; of some there are several. */
  statuses: readonly number[]
  meaning: string
  remedy: string
}

/** `type` of problem details, but for those that are an errno's name. */
export const problemKinds = {
  validation: {
    statuses: [400],
    meaning: 'A field is missing, unknown, or not as the schema says; the detail names it.',
    remedy: 'Correct the field that the detail names; /openapi.json has the schema.'
  },
  'invalid-json': { statuses: [400], meaning: 'The body is not JSON.', remedy: 'Send one JSON value in UTF-8.' },
  'inside-context': {
    statuses: [403],
    meaning: 'The caller runs inside a context.',
    remedy: 'Ask from the host: guests are never served, whoever they are.'
  },
  origin: {
    statuses: [403],
    meaning: 'A page of another site asks (Origin, Sec-Fetch-Site).',
    remedy: 'Ask from a page of this daemon, or by a program that is no browser.'
  },
  forbidden: {
    statuses: [403],
    meaning: 'The caller lacks the action that the detail names.',
    remedy: 'Have the policy file give it to one of your users or groups, then reload the daemon.'
  },
  'unknown-peer': {
    statuses: [403],
    meaning: 'The kernel does not say who the caller is.',
    remedy: 'Connect over the Unix socket itself, from a process in the host’s PID namespace.'
  },
  'not-found': { statuses: [404], meaning: 'There is no such path.', remedy: 'GET / names the resources.' },
  method: {
    statuses: [405],
    meaning: 'The path takes other methods.',
    remedy: 'Use one of those in the answer’s Allow.'
  },
  'init-running': {
    statuses: [409],
    meaning: 'The context has an init.',
    remedy: 'End the init first, or start the process without SET_INIT.'
  },
  irreversible: {
    statuses: [409],
    meaning: 'The change cannot be undone.',
    remedy: 'Repeat it with ?irreversible=true if that is what is meant.'
  },
  'root-differs': {
    statuses: [409],
    meaning: 'The context has another root, which cannot be changed.',
    remedy: 'Delete the context and create it anew.'
  },
  paused: {
    statuses: [409],
    meaning: 'Nothing can be started in a paused context.',
    remedy: 'Clear SCHED_PAUSE first.'
  },
  precondition: {
    statuses: [412],
    meaning: 'The context is not as If-Match or If-None-Match asks.',
    remedy: 'Read it again and decide anew.'
  },
  'too-large': {
    statuses: [413, 414],
    meaning: 'The body or the target is too long.',
    remedy: 'Send less; --body-limit and --url-limit are the daemon’s.'
  },
  'media-type': {
    statuses: [415],
    meaning: 'The body is of another type than the route takes.',
    remedy: 'Send it as content-type: application/json.'
  },
  host: {
    statuses: [421],
    meaning: 'The Host of the request is not this daemon’s.',
    remedy: 'Ask it as localhost, or start it with --allowed-host NAME.'
  },
  unsupported: {
    statuses: [422],
    meaning: 'This driver or this host does not enforce the name.',
    remedy: 'See /vocabulary for what it does; ?unsupported=record keeps the name without effect.'
  },
  'not-persistent': {
    statuses: [422],
    meaning: 'A context without an init and without PERSISTENT would end at once.',
    remedy: 'Give an init, or the flag PERSISTENT.'
  },
  persistent: {
    statuses: [422],
    meaning: 'wait is for a context that ends with its init.',
    remedy: 'Give an init and leave PERSISTENT out, or do not wait.'
  },
  'idempotency-key': {
    statuses: [422],
    meaning: 'The key was used for another request.',
    remedy: 'Take a new key for each request that is meant anew.'
  },
  share: {
    statuses: [429],
    meaning: 'The caller’s uid has half of what there is of something.',
    remedy: 'End what is under way, or wait for it; Retry-After says how long at least.'
  },
  'rate-limit': {
    statuses: [429],
    meaning: 'The caller’s uid asks too often.',
    remedy: 'Ask again after Retry-After; --rate-limit is the daemon’s.'
  },
  http: {
    statuses: [400, 408, 417, 431],
    meaning: 'What came is not a valid HTTP request; the detail says why.',
    remedy: 'Correct the client; 408 means that the request did not come in time.'
  },
  'log-in-journal': {
    statuses: [501],
    meaning: 'Output of guests goes to the journal.',
    remedy: 'Run the journalctl command that the detail gives.'
  },
  'no-log': {
    statuses: [501],
    meaning: 'Output of guests is kept nowhere.',
    remedy: 'Start the daemon with another --guest-log.'
  },
  busy: {
    statuses: [503],
    meaning: 'All that there may be of something are in use.',
    remedy: 'Ask again after Retry-After.'
  },
  audit: {
    statuses: [503],
    meaning: 'The audit log cannot be written, so nothing was done, or what was done has no line yet.',
    remedy: 'Make room for the log; the daemon’s log has the reason. See --audit-failure.'
  },
  stopping: {
    statuses: [503],
    meaning: 'The daemon is stopping.',
    remedy: 'Ask again when it is back; what was started goes on.'
  },
  'not-ready': {
    statuses: [503],
    meaning: 'The daemon cannot do its work; the detail says why.',
    remedy: 'Remove the cause; GET /ready tells when it is gone.'
  },
  internal: {
    statuses: [500],
    meaning: 'The daemon failed.',
    remedy: 'Its log says more; report it with the request id.'
  }
} as const satisfies Record<string, ProblemKind>

export type ProblemName = keyof typeof problemKinds

/** HTTP status of a failed call by its errno, and what it means here; what is not in the list is 500. */
export const errnos: readonly { status: number; codes: readonly string[]; meaning: string }[] = [
  { status: 404, codes: ['ESRCH'], meaning: 'There is no such context or process.' },
  { status: 409, codes: ['EEXIST', 'EFAULT'], meaning: 'The context exists; or it is shutting down.' },
  {
    status: 403,
    codes: ['EACCES', 'EPERM'],
    meaning: 'The context is private or no longer administrable; or the kernel refuses the power.'
  },
  {
    status: 422,
    codes: [
      'EINVAL',
      'ENOENT',
      'ENOTDIR',
      'EISDIR',
      'ELOOP',
      'ENAMETOOLONG',
      'E2BIG',
      'ENOEXEC',
      'EILSEQ',
      'ELIBBAD',
      'ETXTBSY'
    ],
    meaning: 'The kernel does not take what was asked; the detail names it.'
  },
  {
    status: 503,
    codes: ['EAGAIN', 'ENOMEM', 'ENOSPC', 'EMFILE', 'ENFILE', 'EBUSY', 'EINTR', 'EDQUOT', 'ETIMEDOUT'],
    meaning: 'The host lacks something now; the same may succeed later.'
  },
  { status: 501, codes: ['ENOSYS'], meaning: 'The driver or the kernel has no such call.' }
]

/** Where each is explained, as a path of the daemon. */
export const problemPage = '/docs/problems'
