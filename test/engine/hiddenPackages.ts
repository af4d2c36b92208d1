/** npm packages that look as if they were not installed, in a process of its own. */
const HIDE = (hidden: readonly string[]): string => `
  import Module, { register } from 'node:module';
  const hidden = ${JSON.stringify(hidden)};
  const resolve = Module._resolveFilename;
  Module._resolveFilename = function (name, ...rest) {
    if (hidden.some((one) => name === one || name === one + '/package.json'))
      throw Object.assign(new Error("Cannot find module '" + name + "'"), { code: 'MODULE_NOT_FOUND' });
    return resolve.call(this, name, ...rest);
  };
  register('data:text/javascript,' + encodeURIComponent(\`
    export async function resolve(name, context, next) {
      if (\${JSON.stringify(hidden)}.includes(name))
        throw Object.assign(new Error("Cannot find package '" + name + "'"), { code: 'ERR_MODULE_NOT_FOUND' });
      return next(name, context);
    }\`));`;

/** Arguments of Node, after those that load tsx. */
export const hiding = (...packages: readonly string[]): string[] =>
  packages.length === 0 ? [] : ['--import', 'data:text/javascript,' + encodeURIComponent(HIDE(packages))];
