/**
 * What the linter looks for: mistakes that types show, such as promises that nothing awaits and assertions that change nothing.
 * Prettier sees to the form of the code, tsc to unused names.
 */
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['dist/', 'gpu-pack/', 'runs/', 'site/', '**/*.js', '**/*.mjs', '!tools/eslint.config.js'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      // tsc reports them, except parameters that a type requires.
      '@typescript-eslint/no-unused-vars': 'off',
      // Interfaces write their functions as methods, and none of those uses `this`.
      '@typescript-eslint/unbound-method': 'off',
      // A function may have to return a promise without anything to wait for.
      '@typescript-eslint/require-await': 'off',
      // Indexed access counts as defined for tsc, but most of the code asserts it all the same; besides, TypeScript 6 infers less than 7.
      '@typescript-eslint/no-unnecessary-type-assertion': 'off',
      // Event handlers and callbacks may be async; a promise that is dropped is found by no-floating-promises.
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      // Messages show lists, and values of files whose type only a schema knows.
      '@typescript-eslint/restrict-template-expressions': 'off',
      '@typescript-eslint/no-base-to-string': 'off',
    },
  },
  {
    // JSON.parse gives `any`: src checks what it reads against schemas, the others read what they wrote themselves.
    ignores: ['src/**'],
    files: ['**/*.ts'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
);
