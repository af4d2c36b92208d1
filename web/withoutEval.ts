/**
 * Imported first: zod then does not try whether it may compile its schemas, which a content policy without `unsafe-eval`
 * reports as an error. `z.config` would come too late, since schemas are made while the modules load; zod keeps its
 * configuration in this global.
 */
Object.assign(globalThis, { __zod_globalConfig: { jitless: true } });
