/** The little of `oidc-provider` that the kit uses: it comes without types. */
declare module "oidc-provider" {
  export default class Provider {
    constructor(issuer: string, configuration: object);
    use(middleware: (context: { path: string }, next: () => Promise<void>) => Promise<void>): void;
    callback(): import("node:http").RequestListener;
  }
}
