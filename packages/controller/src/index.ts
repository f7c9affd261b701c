/** The public list of `@muster/controller`: for its entry and for tests that run one in their own process. */
export { ControllerConfig, readConfig } from "./config.ts";
export { runController, type SystemPorts } from "./system.ts";
