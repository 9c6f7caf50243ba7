import tseslint from 'typescript-eslint'

export default tseslint.config(
  { ignores: ['build/', 'dist/', 'node_modules/', 'run/', '.tap/', 'eslint.config.js'] },
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
  }
)
