import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { buildApp } from './app.js'
import { AuditLog } from './audit/log.js'
import { MemoryDriver } from './drivers/memory/memory.js'
import { Policy } from './policy/policy.js'
import { UsageError } from './usage-error.js'

/** The document's text; the same whatever driver serves it. */
export async function documentText(): Promise<string> {
  const app = await buildApp({
    driver: new MemoryDriver(),
    audit: new AuditLog(''), // never opened, for nothing is asked
    identify: () => ({ pid: 0, uid: 0, gid: 0, groups: [], xid: 0, executable: null }),
    policyOf: () => ({ current: Policy.default(0, undefined) }),
    logger: pino({ level: 'silent' })
  })
  await app.ready()
  const text = `${JSON.stringify(app.swagger(), null, 2)}\n`
  await app.close()
  return text
}

export async function printDocument(args: string[]): Promise<void> {
  let output: string | undefined
  try {
    output = parseArgs({ args, options: { output: { type: 'string' } } }).values.output
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const text = await documentText()
  if (output === undefined) process.stdout.write(text)
  else writeFileSync(output, text)
}
