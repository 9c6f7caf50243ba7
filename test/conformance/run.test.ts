import { fileURLToPath } from 'node:url'
import t from 'tap'
import { run } from '../support/command.js'

const runner = fileURLToPath(new URL('run.js', import.meta.url))
const conformance = (...args: string[]) => run(process.execPath, [runner, ...args])

const mistakes: [what: string, args: string[], message: RegExp][] = [
  ['no driver', [], /--driver is missing/],
  ['an unknown driver', ['--driver', 'xen'], /no driver "xen"/],
  ['an unknown option', ['--drivers', 'memory'], /Unknown option '--drivers'/],
  ['an argument too many', ['--driver', 'memory', 'more'], /Unexpected argument 'more'/]
]

for (const [what, args, message] of mistakes) {
  void t.test(`the conformance runner refuses ${what} with exit code 2, and says how it is used`, async (t) => {
    const { code, stdout, stderr } = await conformance(...args)
    t.equal(code, 2)
    t.equal(stdout, '', 'no test has run')
    t.match(stderr, message)
    t.match(stderr, /^usage: npm run conformance -- --driver memory\|namespaces\|vserver$/m)
  })
}

void t.test('the conformance runner prints TAP, then how many tests ended which way', async (t) => {
  const { code, stdout, stderr } = await conformance('--driver', 'memory')
  t.same({ code, stderr }, { code: 0, stderr: '' })
  t.match(stdout, /^TAP version 14\n/)
  const [, passed] = /\n(\d+) passed, 0 failed, 0 skipped\n$/.exec(stdout) ?? []
  t.equal(Number(passed), stdout.match(/^ {8}ok /gm)?.length, 'as many as its groups have')
})

void t.test('the conformance runner explains itself with --help', async (t) => {
  t.match(await conformance('--help'), { code: 0, stdout: /^usage: /, stderr: '' })
})
