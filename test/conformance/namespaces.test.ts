import { conformance } from './suite.js'

await conformance('namespaces', process.getuid?.() === 0 ? undefined : 'needs root')
