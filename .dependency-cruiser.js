/**
 * Which way imports point in daemon/: `npm run check` fails on a circle and on an arrow up. Type-only imports count.
 * A place may import what is further down in this list, and what is beside it in its own folder.
 */
const layers = [
  ['main', '^daemon/main[.]ts$'],
  ['commands', '^daemon/(openapi|vshelper)[.]ts$'],
  ['service', '^daemon/service/'],
  ['app', '^daemon/app[.]ts$'],
  ['routes', '^daemon/routes/'],
  ['plugins', '^daemon/plugins/'],
  ['metrics', '^daemon/metrics/'],
  ['config', '^daemon/(config|settings|socket-spec)[.]ts$'],
  ['audit', '^daemon/audit/'],
  ['contexts', '^daemon/contexts/'],
  ['policy', '^daemon/policy/'],
  ['events', '^daemon/events/'],
  ['logs', '^daemon/logs/'],
  ['admission', '^daemon/admission/'],
  ['drivers: selection', '^daemon/drivers/select[.]ts$'],
  ['drivers: each kind', '^daemon/drivers/(memory|namespaces|vserver)/'],
  ['drivers: launcher', '^daemon/drivers/launcher/'],
  ['drivers', '^daemon/drivers/(?!select)[^/]+[.]ts$'],
  ['refusals', '^daemon/(refusal|usage-error|package)[.]ts$'],
  ['schemas', '^daemon/schemas/'],
  ['vocabulary', '^daemon/vocabulary/']
]

const up = layers.flatMap(([name, path], index) =>
  index === 0
    ? []
    : [
        {
          name: `${name}: nothing above`,
          comment: `Imports point down the list of layers in .dependency-cruiser.js: move what ${name} needs below it.`,
          severity: 'error',
          from: { path },
          to: { path: layers.slice(0, index).map(([, above]) => above) }
        }
      ]
)

export default {
  forbidden: [
    {
      name: 'no circle',
      comment: 'Two files that need each other are one subject, or share a third one: take that out.',
      severity: 'error',
      from: {},
      to: { circular: true }
    },
    ...up,
    {
      name: 'each kind of driver by itself',
      comment: 'What two drivers share belongs into daemon/drivers or its launcher folder.',
      severity: 'error',
      from: { path: '^daemon/drivers/(memory|namespaces|vserver)/' },
      to: { path: '^daemon/drivers/(memory|namespaces|vserver)/', pathNot: '^daemon/drivers/$1/' }
    },
    {
      name: 'a layer of its own',
      comment: 'A new file or folder of daemon/ needs a place in the list of layers in .dependency-cruiser.js.',
      severity: 'error',
      from: {},
      to: { path: '^daemon/', pathNot: layers.map(([, path]) => path) }
    }
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(node:|dist/)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' }
  }
}
