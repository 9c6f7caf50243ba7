import { conformance } from './suite.js'
await conformance('vserver', process.getuid?.() === 0 ? undefined : 'needs root', { emulator: [] })
