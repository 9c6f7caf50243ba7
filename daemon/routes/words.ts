import { patch, replacement, tableOf, wordKinds, type WordKind } from '../contexts/words.js'
import { flagsView, wordView } from '../contexts/view.js'
import type { ChangedWordValue } from '../contexts/changes.js'
import { IfMatch, ref, WriteQuery, XidParams } from '../schemas/common.js'
import { problems } from '../schemas/problem.js'
import { words } from '../schemas/word.js'
import { formatWord } from '../vocabulary/word.js'
import { writeOf, type App, type Resources } from './types.js'

const titles: Record<WordKind, string> = {
  flags: 'context flags',
  bcaps: 'system capabilities',
  ccaps: 'context capabilities'
}

/** /contexts/:xid/flags, /bcaps and /ccaps. */
export function wordRoutes(app: App, { contexts, driver }: Resources): void {
  for (const kind of wordKinds) {
    const url = `/contexts/:xid/${kind}`
    const isFlags = kind === 'flags'
    const { Word, Changed, Replace, Change } = words[kind]

    const read = isFlags
      ? (xid: number) => flagsView(driver, driver.vx_flags_get(xid))
      : (xid: number) => wordView(driver, xid, kind)
    const shown = ({ changed, word, mask, warnings }: ChangedWordValue) => {
      const { value, names, unknown } = tableOf(driver, kind).view(word)
      return {
        value,
        names: [...names],
        unknown,
        ...(isFlags && { mask: formatWord(mask) }),
        changed,
        ...(warnings.length > 0 && { warnings })
      } as never
    }

    app.get(url, {
      config: { action: 'read' },
      schema: {
        summary: `Get ${titles[kind]}`,
        description: `vx_${kind}_get`,
        operationId: `vx_${kind}_get`,
        tags: [kind],
        params: XidParams,
        response: { 200: ref(Word), ...problems }
      },
      handler: (request) => read(request.params.xid) as never
    })

    app.put(url, {
      config: { action: 'configure' },
      schema: {
        summary: `Set ${titles[kind]}`,
        description: `vx_${kind}_set of the whole word${isFlags ? ' but the one-time STATE_* bits' : ''}.`,
        operationId: `vx_${kind}_set`,
        tags: [kind],
        params: XidParams,
        querystring: WriteQuery,
        headers: IfMatch,
        body: ref(Replace),
        response: { 200: ref(Changed), ...problems }
      },
      handler: async (request) => {
        const data = replacement(tableOf(driver, kind), kind, request.body)
        return shown(await contexts.setWord(request.params.xid, kind, data, writeOf(request, request.query)))
      }
    })

    app.patch(url, {
      config: { action: 'configure' },
      schema: {
        summary: `Change ${titles[kind]}`,
        description: `vx_${kind}_set of single bits.`,
        operationId: `vx_${kind}_change`,
        tags: [kind],
        params: XidParams,
        querystring: WriteQuery,
        headers: IfMatch,
        body: ref(Change),
        response: { 200: ref(Changed), ...problems }
      },
      handler: async (request) => {
        const data = patch(tableOf(driver, kind), request.body)
        return shown(await contexts.setWord(request.params.xid, kind, data, writeOf(request, request.query)))
      }
    })
  }
}
