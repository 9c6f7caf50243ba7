import tseslint from 'typescript-eslint'

export default tseslint.config(
  {
    ignores: [
      'build/',
      'dist/',
      'node_modules/',
      'run/',
      '.tap/',
      'eslint.config.js',
      '.dependency-cruiser.js',
      'test/client/client.ts'
    ]
  },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Template literals print numbers and bigints all over; both have one obvious text form.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // The 15 calls may answer at once or later (driver.ts); an async signature without await is the contract.
      '@typescript-eslint/require-await': 'off',
      // tap collects what t.test returns by itself.
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafeCalls: [{ from: 'package', package: '@tapjs/core', name: ['test'] }] }
      ],
      eqeqeq: 'error'
    }
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // tap's match takes a longer list for a shorter one, anything for an empty one, and a missing field for null.
      'no-restricted-syntax': [
        'error',
        ...['ArrayExpression', 'Literal[raw="null"]'].flatMap((pattern) =>
          [`> ${pattern}.arguments:nth-child(2)`, `> ObjectExpression.arguments:nth-child(2) ${pattern}`].map(
            (place) => ({
              selector: `CallExpression[callee.property.name="match"] ${place}`,
              message: 'A list or null in a pattern of t.match asserts next to nothing: use matches() of test/support.'
            })
          )
        )
      ]
    }
  }
)
