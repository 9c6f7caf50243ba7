/** Loaded into a daemon by `node --expose-gc --import`: collects its whole heap at each SIGUSR2, and says so. */
process.on('SIGUSR2', () => {
  globalThis.gc?.()
  process.stderr.write('collected\n')
})
