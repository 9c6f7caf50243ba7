/** Run under `emulator --stub`, where vserver(2) answers 0 at once. Prints one line of JSON: microseconds of each turn. */
import { vserver } from '../daemon/drivers/native.js'

const XID = 100
const UNAME_FIELDS = 7
const words = new BigUint64Array(10)
const TURNS = 2000
const CALLS_A_TURN = 50

const names = () => {
  for (let field = 0; field < UNAME_FIELDS; field++) vserver.getVhiName(XID, field)
}

/** The commands that a GET of each resource makes (test/e2e/vserver-trace.test.ts). */
const gets: Record<string, () => void> = {
  '/contexts/:xid': () => {
    vserver.getCflags(XID, words)
    vserver.tasks(XID)
    vserver.uptime(XID)
    names()
    vserver.vxInfo(XID)
    vserver.getBcaps(XID)
    vserver.getCcaps(XID)
  },
  '/contexts/:xid/flags': () => {
    vserver.getCflags(XID, words)
  },
  '/contexts/:xid/bcaps': () => {
    vserver.getBcaps(XID)
  },
  '/contexts/:xid/uname': names,
  '/contexts/:xid/stat': () => {
    vserver.ctxStat(XID)
    vserver.virtStat(XID, words)
  }
}

function turns(get: () => void): number[] {
  return Array.from({ length: TURNS }, () => {
    const began = process.hrtime.bigint()
    for (let call = 0; call < CALLS_A_TURN; call++) get()
    return Number(process.hrtime.bigint() - began) / 1000 / CALLS_A_TURN
  })
}

for (const get of Object.values(gets)) turns(get) // warm up
const measured = Object.fromEntries(Object.entries(gets).map(([path, get]) => [path, turns(get)]))
process.stdout.write(`${JSON.stringify(measured)}\n`)
