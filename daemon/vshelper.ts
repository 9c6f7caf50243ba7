/** `contextd vshelper ACTION XID`: what the kernel runs for a guest (kernel.vshelper). */
import { parseArgs } from 'node:util'
import { readConfig } from './config.js'
import { XID_MAX, XID_MIN } from './drivers/rules.js'
import { helperActions, recordCall } from './drivers/vserver/helper.js'
import { UsageError } from './usage-error.js'

const help = `Usage: contextd vshelper ACTION XID [--state-dir PATH]

What a Linux-VServer kernel runs when a guest calls reboot(2), or starts and ends with SC_HELPER. Records the call, which
the daemon then announces, and exits 0, so that the guest's call succeeds. Not for use by hand.

  ACTION  ${helperActions.join(' | ')}
`

const numberOf = (text: string | undefined) => (text !== undefined && /^\d+$/.test(text) ? Number(text) : null)

/** @throws UsageError for anything that the kernel does not say; CallError when it cannot be recorded */
export function vshelper(args: string[], env: NodeJS.ProcessEnv): void {
  let parsed
  try {
    const options = { 'state-dir': { type: 'string' }, help: { type: 'boolean' } } as const
    parsed = parseArgs({ args, options, allowPositionals: true })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  if (parsed.values.help) {
    process.stdout.write(help)
    return
  }
  const [action = '', xidText, ...more] = parsed.positionals
  const xid = numberOf(xidText)
  if (!(helperActions as readonly string[]).includes(action))
    throw new UsageError(`vshelper: "${action}" is not one of ${helperActions.join(', ')}`)
  if (xid === null || xid < XID_MIN || xid > XID_MAX || more.length > 0)
    throw new UsageError(`vshelper: give one xid of ${XID_MIN}..${XID_MAX}`)
  const stateDir = parsed.values['state-dir']
  const config = readConfig(stateDir === undefined ? [] : ['--state-dir', stateDir], env)
  if (config === 'help') return
  const { VS_UID, VS_PID } = env
  const [uid, pid] = [numberOf(VS_UID), numberOf(VS_PID)]
  recordCall(config.stateDir, { xid, action, time: new Date().toISOString(), uid, pid })
}
