/** The ways to tell somebody, each loaded when the first message goes there. */
import type { AlertRoute } from "@muster/protocol/alerting";
import type { AlertMessage } from "../message.ts";

export type RouteKind = AlertRoute["to"];

/** What a route needs from outside. */
export type RouteDoor = {
  /** The value of a reference to Vault, or the text itself where it is none. Errors: those of Vault, CONFIG. */
  secret(text: string): Promise<string>;
  readonly signal: AbortSignal;
};

/** Resolves when the message was taken. The same message may come twice, under the same id. Errors: FleetError with the other side's words. */
export type Send<K extends RouteKind = RouteKind> = (
  message: AlertMessage,
  route: Extract<AlertRoute, { to: K }>,
  door: RouteDoor,
) => Promise<void>;

const ROUTES: { readonly [K in RouteKind]: () => Promise<Send<K>> } = {
  webhook: async () => (await import("./webhook.ts")).webhook,
  email: async () => (await import("./email.ts")).email,
  matrix: async () => (await import("./matrix.ts")).matrix,
  alertmanager: async () => (await import("./alertmanager.ts")).alertmanager,
};

export async function send(message: AlertMessage, route: AlertRoute, door: RouteDoor): Promise<void> {
  const way = (await ROUTES[route.to]()) as Send;
  await way(message, route, door);
}
