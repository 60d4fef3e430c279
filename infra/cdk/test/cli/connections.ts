// Loaded into each Node process of a test (NODE_OPTIONS): writes every attempt to reach another host to a file.

import { appendFileSync } from "node:fs";
import dns from "node:dns";
import net from "node:net";

const log = process.env["PETREL_CONNECTIONS"];

function note(what: unknown) {
  if (log) appendFileSync(log, `${process.argv.join(" ")}: ${JSON.stringify(what)}\n`);
}

const { connect } = net.Socket.prototype;
net.Socket.prototype.connect = function (this: net.Socket, ...given: unknown[]) {
  note(given[0]);
  return connect.apply(this, given as never);
} as typeof connect;

const { lookup } = dns;
dns.lookup = ((...given: unknown[]) => {
  note(given[0]);
  return lookup(...(given as Parameters<typeof lookup>));
}) as typeof lookup;
