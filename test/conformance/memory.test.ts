import { conformance } from './suite.js'

await conformance('memory')
