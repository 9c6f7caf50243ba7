#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'
import { readConfig, serveHelp } from './config.js'
import { reasonOf } from './drivers/errors.js'
import { version } from './package.js'
import { UsageError } from './usage-error.js'

const help = `contextd ${version}: guest contexts over REST on a Unix socket

Usage: contextd COMMAND [options]

  serve      serve the API (contextd serve --help)
  audit      verify an audit log (contextd audit verify --help)
  openapi    print the OpenAPI document [--output FILE]
  vshelper   what a Linux-VServer kernel runs for its guests (contextd vshelper --help)

  --help     this text
  --version  the version
`

const commands: Record<string, (args: string[]) => Promise<void>> = {
  async serve(args) {
    const config = readConfig(args, process.env)
    if (config === 'help') {
      process.stdout.write(serveHelp())
      return
    }
    const { serve } = await import('./service/serve.js')
    await serve(config)
  },

  async audit(args) {
    const { audit } = await import('./audit/command.js')
    await audit(args)
  },

  async openapi(args) {
    const { printDocument } = await import('./openapi.js')
    await printDocument(args)
  },

  async vshelper(args) {
    const { vshelper } = await import('./vshelper.js')
    vshelper(args, process.env)
  },

  '--help': async () => {
    process.stdout.write(help)
  },
  '--version': async () => {
    process.stdout.write(`${version}\n`)
  }
}

const EXIT_FAILED = 1
const EXIT_USAGE = 2

// Start-up alone would make V8 grow its young generation to 3 x 16 MB, which an idle daemon never gives back.
setFlagsFromString('--semi-space-growth-factor=1')
// It is so small that collecting it in parallel only takes the other processors from the launchers.
setFlagsFromString('--no-parallel-scavenge')

const [name = '', ...args] = process.argv.slice(2)
try {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) throw new UsageError(name === '' ? 'which command?' : `unknown command "${name}"`)
  await command(args)
} catch (error) {
  const usage = error instanceof UsageError
  process.stderr.write(`contextd: ${reasonOf(error)}\n`)
  const { code = '' } = error as NodeJS.ErrnoException
  if (['EACCES', 'EPERM'].includes(code) && process.getuid?.() !== 0)
    process.stderr.write("contextd serve needs root; 'npm start' in a checkout does without.\n")
  if (usage) process.stderr.write("Try 'contextd --help' or 'contextd serve --help'.\n")
  process.exit(usage ? EXIT_USAGE : EXIT_FAILED)
}
