/** What may go onto the wire as a subject. The client library writes subjects as they are: a line break would be a command. */
import { FleetError } from "@muster/protocol/errors";

const SUBJECT_LIMIT = 1_024;
const PLAIN = /^[^\s.*>\p{Cc}]+(?:\.[^\s.*>\p{Cc}]+)*$/u;
const FILTER = /^(?:[^\s.*>\p{Cc}]+|\*)(?:\.(?:[^\s.*>\p{Cc}]+|\*))*(?:\.>)?$|^>$/u;

/** A subject to publish to: no wildcards. */
export function plainSubject(subject: string): string {
  return checked(subject, PLAIN, "cannot be published to");
}

/** A subject to subscribe to: `*` for one token, `>` at the end for the rest. */
export function filterSubject(subject: string): string {
  return checked(subject, FILTER, "cannot be subscribed to");
}

function checked(subject: string, form: RegExp, why: string): string {
  if (subject.length > SUBJECT_LIMIT || !form.test(subject)) {
    throw new FleetError("INVALID", `subject ${JSON.stringify(subject.slice(0, 120))} ${why}`);
  }
  return subject;
}

/** `host`, `host:port`, `[IPv6]:port`, with or without `tls://` or `nats://`; port 4222 when none is given. */
export function parseServer(text: string): { host: string; port: number } {
  const match =
    /^(?:(?:tls|nats):\/\/)?(?:\[([0-9A-Fa-f:.]+)\]|([^\s[\]:/@]+)|([0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*))(?::([0-9]{1,5}))?\/?$/.exec(
      text,
    );
  const host = match?.[1] ?? match?.[2] ?? match?.[3];
  const port = Number(match?.[4] ?? 4222);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new FleetError(
      "CONFIG",
      `broker address ${JSON.stringify(text.slice(0, 120))}: must be host:port or [IPv6]:port`,
    );
  }
  return { host, port };
}
