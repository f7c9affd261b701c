/**
 * zod compiles each schema at its first use, which pays off after many uses; here each is used once or twice (15 ms of a ping). What `z.config` sets, in a
 * module that is loaded before zod is: the first schema takes it as it is then.
 */
Object.assign(globalThis, { __zod_globalConfig: { jitless: true } });
