/** The command line or a setting says something that is not understood: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
