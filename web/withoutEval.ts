/**
 * Must be imported first. It keeps zod from trying out whether it may compile its schemas, which a content security policy
 * without `unsafe-eval` reports as an error. `z.config` would come too late, since schemas are made while the modules load;
 * zod keeps its configuration in this global.
 */
Object.assign(globalThis, { __zod_globalConfig: { jitless: true } });
