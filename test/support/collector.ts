/** Loaded into a daemon by `node --expose-gc --import`: collects its whole heap at each SIGUSR2, and says so. */
const { gc } = globalThis
if (!gc) throw new Error('run it with --expose-gc')
process.on('SIGUSR2', () => {
  gc()
  process.stderr.write('collected\n')
})
