/** What the README says to type works as it is printed, and its options are those that there are. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { limitNames } from '../daemon/admission/limits.js'
import { settings } from '../daemon/settings.js'
import { run } from './support/command.js'
import { TestDaemon } from './support/daemon.js'
import { matches } from './support/matches.js'
import { needsRoot } from './support/proc.js'

const text = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8')

/** Commands of the first block of curl lines, each on one line. */
const lines = (/```sh\n(curl [^]*?)```/.exec(text)?.[1] ?? '')
  .replaceAll(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line !== '')

for (const driver of ['memory', 'namespaces'] as const) {
  const options = driver === 'namespaces' ? needsRoot() : { skip: false }
  void t.test(`the first curl lines work as printed, with the ${driver} driver`, options, async (t) => {
    const daemon = await TestDaemon.start(driver)
    t.teardown(() => daemon.cleanUp())
    const answers: string[] = []
    for (const line of lines) {
      const { code, stdout, stderr } = await run('/bin/sh', ['-c', line], { cwd: daemon.directory })
      t.same([code, stderr], [0, ''], line)
      answers.push(stdout)
    }
    const json = (answer = '') => (answer.startsWith('{') ? (JSON.parse(answer) as unknown) : answer)
    matches(t, answers.map(json), [
      { driver },
      { xid: 100, name: 'web1', state: 'running' },
      { stdout: 'web1\n', exit_code: 0 },
      '',
      '',
      ''
    ])
    t.equal((await daemon.get('/contexts/100')).status, 404, 'the last one ends it')
  })
}

void t.test('the table of options has each of serve, with its default', (t) => {
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('| `--'))
    .map((line) => {
      const [, option = '', value = ''] = line.split('|')
      return `${/--[a-z-]+/.exec(option)?.[0]} ${/^ `(.*)` /.exec(value)?.[1] ?? ''}`
    })
  const ofClients = new Set<string>(limitNames) // one row and a link for all of them
  const wanted = Object.entries(settings)
    .filter(([name]) => !ofClients.has(name))
    .map(([, { flag, fallback }]) => `--${flag} ${fallback ?? ''}`)
  t.same(rows.sort(), [...wanted, '--rate-limit ', '--config ', '--dev '].sort())
  t.end()
})

void t.test('what is typed before an installation is there before it', (t) => {
  const before = text.slice(0, text.indexOf('npm run install:system'))
  t.notMatch(before, /^contextd /m)
  t.notMatch(text, /^contextd serve/m)
  t.end()
})
