/**
 * Whether a broker speaks the Kafka protocol: `ApiVersions` version 0, which brokers answer before any log-in
 * (kafka.apache.org/protocol, KIP-35, KIP-152). That its port takes a connection would say less: a broker that is stuck takes them too.
 * Tried on Kafka 3.9.1 (KRaft): it answers so on a listener with SASL, and not when it is stopped by a signal.
 */
import { connect } from "node:net";
import { hostPort, wordsOf } from "./way.ts";

const API_VERSIONS = 18;
const CORRELATION = 0x6d757374;
const ANSWER_BYTES = 64 * 1024;

/** Size, api key, api version, correlation, client id. */
function question(): Buffer {
  const client = Buffer.from("muster");
  const body = Buffer.alloc(10 + client.length);
  body.writeInt16BE(API_VERSIONS, 0);
  body.writeInt16BE(0, 2);
  body.writeInt32BE(CORRELATION, 4);
  body.writeInt16BE(client.length, 8);
  client.copy(body, 10);
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
}

/** Null when it does, else what came instead. */
export async function answersKafka(address: string, signal: AbortSignal): Promise<string | null> {
  const socket = connect({ ...hostPort(address), signal });
  try {
    socket.write(question());
    let heard = Buffer.alloc(0);
    for await (const piece of socket as AsyncIterable<Buffer>) {
      heard = Buffer.concat([heard, piece]);
      if (heard.length < 10) continue;
      if (heard.readInt32BE(0) > ANSWER_BYTES || heard.readInt32BE(4) !== CORRELATION)
        return "what answers there is no Kafka";
      const code = heard.readInt16BE(8);
      // 35: it has no such version of the question, which only a broker says.
      return code === 0 || code === 35 ? null : `answers with error ${code}`;
    }
    return "the connection was closed without an answer";
  } catch (error) {
    return wordsOf(error);
  } finally {
    socket.destroy();
  }
}
