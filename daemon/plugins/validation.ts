/** Strict validation: nothing is coerced but the text of parameters, and only text that says one thing. */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type { FastifyInstance } from 'fastify'
import { Refusal } from '../refusal.js'
import { strict } from '../schemas/common.js'
import { components } from '../schemas/index.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** Of a route: its first request need not wait for that then. Once the application is ready. */
    compileAhead(schema: object): void
  }
}

interface JsonSchema {
  type?: string
  anyOf?: JsonSchema[]
  properties?: Record<string, JsonSchema>
  required?: string[]
}

const lexical: Record<string, { pattern: RegExp; read: (text: string) => unknown }> = {
  integer: { pattern: /^(?:0|-?[1-9][0-9]{0,14})$/, read: Number },
  number: { pattern: /^(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?$/, read: Number },
  // As Python prints it, and as most command lines take it.
  boolean: { pattern: /^(?:true|false|True|False|1|0)$/, read: (text) => ['true', 'True', '1'].includes(text) }
}

interface Check {
  (data: Record<string, unknown>): boolean
  errors?: ErrorObject[] | null
}

/** Text that is written as its type is: "1e3", "0x10", " 7" and "007" stay text, and fail as such. */
function readText(schema: JsonSchema | undefined, value: unknown): unknown {
  if (typeof value !== 'string' || !schema) return value
  for (const candidate of schema.anyOf ?? [schema]) {
    const rule = lexical[candidate.type ?? '']
    if (rule?.pattern.test(value)) return rule.read(value)
  }
  return value
}

type SchemaError = Pick<ErrorObject, 'instancePath' | 'params'>

/** The field that no schema knows, where that is the error. */
const extraOf = ({ params }: SchemaError) => (params as { additionalProperty?: string }).additionalProperty

const depthOf = (error: SchemaError) => error.instancePath.split('/').length + (extraOf(error) === undefined ? 0 : 1)

export function addValidation(app: FastifyInstance): void {
  const ajv = new Ajv2020({
    allErrors: false,
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
    strict: false,
    validateSchema: false // redocly lints them in the document (npm run check)
  })
  formats.default(ajv)
  for (const schema of components) ajv.addSchema(schema)
  const compilers = new Map<object, () => void>()
  app.setValidatorCompiler<JsonSchema>(({ schema, httpPart }) => {
    // They are described, and read where they mean something.
    if (httpPart === 'headers') return () => true
    // Compiled when first asked: all of them take a fifth of the daemon's start.
    let compiled: ValidateFunction | undefined
    const compile = () => (compiled ??= ajv.compile(schema))
    const isText = httpPart !== 'body'
    const properties = isText ? Object.entries(schema.properties ?? {}) : []
    // Most queries are empty, and most empty ones are valid: no need to compile for that.
    const mayBeEmpty = isText && !schema.required?.length
    const check: Check = (data) => {
      if (mayBeEmpty && Object.keys(data).length === 0) return true
      for (const [name, property] of properties) if (name in data) data[name] = readText(property, data[name])
      const validate = compile()
      const valid = validate(data)
      check.errors = validate.errors ?? null
      return valid
    }
    compilers.set(schema, compile)
    return check
  })
  app.decorate('compileAhead', (schema: object) => {
    compilers.get(schema)?.()
  })
  // A query that a route does not declare is as unknown as a field of its body.
  app.addHook('onRoute', (route) => {
    if (!route.url.startsWith('/docs') && route.schema) route.schema.querystring ??= strict({})
  })
  app.setSchemaErrorFormatter((errors, part) => {
    // Where there is a choice of forms, the one that fits furthest is what was meant.
    const error = errors.toSorted((a, b) => depthOf(b) - depthOf(a))[0]
    const path = error?.instancePath.slice(1).replaceAll('/', '.') ?? ''
    const extra = error && extraOf(error)
    const field = [part === 'params' ? 'path' : part, path, extra].filter(Boolean).join('.')
    // Names of an environment are anything but these.
    if (extra !== undefined && /(^|\.)env$/.test(path))
      return new Refusal(
        400,
        'validation',
        `${part}.${path} has a variable named ${JSON.stringify(extra)}: a name is not empty and has neither = nor NUL`
      )
    return new Refusal(
      400,
      'validation',
      `${field} ${extra === undefined ? (error?.message ?? 'is invalid') : 'is unknown'}`
    )
  })
}
