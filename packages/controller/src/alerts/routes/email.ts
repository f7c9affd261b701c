/** E-mail by SMTP, over nodemailer: the only file that knows it. One connection a message. The Message-ID is the message's own, so that one which comes twice is seen as one. */
import { FleetError } from "@muster/protocol/errors";
import { createTransport } from "nodemailer";
import { subjectOf, textOf } from "../message.ts";
import type { Send } from "./index.ts";

const TIMEOUT_MS = 15_000;

/** Errors: FAILED with the server's own words, CONFIG for a password that would go in clear. */
export const email: Send<"email"> = async (message, route, { secret, signal }) => {
  const { user, tls, from, recipients } = route;
  if (route.password !== undefined && (user === undefined || tls === "none"))
    throw new FleetError("CONFIG", "a password needs a user, and goes over starttls or tls only");
  const pass = route.password === undefined ? null : await secret(route.password);
  const [, v6, name, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(route.server) ?? [];
  const transport = createTransport({
    host: v6 ?? name ?? "",
    port: Number(port),
    secure: tls === "tls",
    requireTLS: tls === "starttls",
    ignoreTLS: tls === "none",
    ...(route.ca === undefined ? {} : { tls: { ca: route.ca } }),
    ...(user === undefined || pass === null ? {} : { auth: { user, pass } }),
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const stop = () => transport.close();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const { rejected } = await transport.sendMail({
      from,
      to: recipients,
      subject: subjectOf(message),
      text: `${textOf(message)}\n\n--\nctl alerts      ctl silence HOST --for 2h -m why\n`,
      messageId: `<${message.id}@${from.split("@")[1] ?? message.fleet}>`,
      date: new Date(message.at),
      headers: { "Auto-Submitted": "auto-generated" },
    });
    if (rejected.length > 0)
      throw new FleetError("FAILED", `the mail server takes nothing for ${rejected.map(String).join(", ")}`);
  } catch (error) {
    if (error instanceof FleetError || !(error instanceof Error)) throw error;
    // The library's error holds the command that was sent, and the log-in is one: only its words go on.
    throw new FleetError("FAILED", `the mail server: ${wordsOf(error, pass)}`);
  } finally {
    signal.removeEventListener("abort", stop);
    transport.close();
  }
};

function wordsOf(error: Error, pass: string | null): string {
  const words = error.message.replaceAll(/\s+/g, " ").slice(0, 300);
  return pass === null || pass === "" ? words : words.replaceAll(pass, "‹password›");
}
