import t from 'tap'
import { decodeStatus, exitReport, ExitReports } from '../../daemon/contexts/exit-reports.js'

const MINUTE = 60_000
const report = (xid: number, status = 0) => exitReport(xid, { reboot_cmd: 0, exit_code: status, oom_killed: false })

void t.test('a wait status is an exit code or the name of a signal', async (t) => {
  t.same(decodeStatus(0), { exit_code: 0, term_signal: null })
  t.same(decodeStatus(0x2a00), { exit_code: 42, term_signal: null })
  t.same(decodeStatus(0xff00), { exit_code: 255, term_signal: null })
  t.same(decodeStatus(9), { exit_code: null, term_signal: 'SIGKILL' })
  t.same(decodeStatus(11 | 0x80), { exit_code: null, term_signal: 'SIGSEGV' }, 'with a core dump')
})

void t.test('a report has the name of the reboot command, null without one', async (t) => {
  t.same(exitReport(100, { reboot_cmd: 0x01234567, exit_code: 0, oom_killed: null }), {
    xid: 100,
    reboot_cmd: 'RESTART',
    exit_code: 0,
    term_signal: null,
    raw_status: 0,
    oom_killed: null
  })
  t.equal(report(100).reboot_cmd, null)
})

void t.test('a report is kept for ten minutes', async (t) => {
  const reports = new ExitReports()
  reports.add(report(100, 9), 0, 0)
  t.match(reports.get(100, 10 * MINUTE), { xid: 100, term_signal: 'SIGKILL' })
  t.equal(reports.get(100, 10 * MINUTE + 1), undefined)
  t.equal(reports.get(101, 0), undefined)
})

void t.test('the last death of an xid is the one that is reported, from then on', async (t) => {
  const reports = new ExitReports()
  reports.add(report(100, 0x100), 0, 0)
  reports.add(report(100, 0x200), 0, 9 * MINUTE)
  t.equal(reports.get(100, 18 * MINUTE)?.exit_code, 2)
})

void t.test('of more than 4,096 reports the oldest go', async (t) => {
  const reports = new ExitReports()
  for (let xid = 2; xid < 2 + 4096; xid++) reports.add(report(xid), 0, xid)
  t.ok(reports.get(2, 5000))
  reports.add(report(2), 0, 5000)
  reports.add(report(50_000), 0, 5001)
  t.equal(reports.get(3, 5001), undefined, 'the oldest')
  t.ok(reports.get(2, 5001), 'one that died again is not the oldest any more')
  t.ok(reports.get(4, 5001))
  t.ok(reports.get(50_000, 5001))
})
