import { STATUS_CODES } from 'node:http'
import { errnos, problemKinds, type ProblemKind } from '../vocabulary/problems.js'

const escaped = (text: string) => text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`)

const row = (slug: string, statuses: readonly number[], meaning: string, remedy: string) =>
  `<tr id="${slug}"><th><a href="#${slug}">${slug}</a></th><td>${statuses
    .map((status) => `${status} ${STATUS_CODES[status] ?? ''}`)
    .join('<br>')}</td><td>${escaped(meaning)}</td><td>${escaped(remedy)}</td></tr>`

/** Every kind of problem, what it means and what to do: where the Link of a problem leads. */
export function problemsPage(): string {
  const kinds = Object.entries<ProblemKind>(problemKinds).map(([slug, { statuses, meaning, remedy }]) =>
    row(slug, statuses, meaning, remedy)
  )
  const calls = errnos.flatMap(({ status, codes, meaning }) =>
    codes.map((code) => row(code.toLowerCase(), [status], meaning, `${code} of the call that the problem names.`))
  )
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>contextd: problems</title>
<style>body{font:16px/1.4 sans-serif;max-width:70em;margin:2em auto}th,td{text-align:left;vertical-align:top;padding:.3em .8em .3em 0;border-top:1px solid #ccc}:target{background:#ffc}</style>
<h1>Problems</h1>
<p>Errors are problem details (RFC 9457). <code>type</code> is one of these; with an <code>errno</code> it is its name in lower case.</p>
<table><tr><th>type</th><th>status</th><th>what</th><th>what to do</th></tr>
${[...kinds, ...calls].join('\n')}
</table></html>
`
}
