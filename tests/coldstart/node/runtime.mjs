// The Lambda runtime's interface, in as few lines as it takes: less than what Lambda itself runs a Node handler under,
// so Node's figures are not worse than they would be there.

import http from "node:http";
import { handle } from "./handler.mjs";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true });

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, path: `/2018-06-01/runtime/${path}`, method, agent }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve([response.headers, Buffer.concat(chunks).toString()]));
    });
    request.on("error", reject);
    request.end(body);
  });
}

for (;;) {
  const [headers, event] = await call("GET", "invocation/next");
  const id = headers["lambda-runtime-aws-request-id"];
  try {
    await call("POST", `invocation/${id}/response`, JSON.stringify(await handle(JSON.parse(event))));
  } catch (error) {
    await call("POST", `invocation/${id}/error`, JSON.stringify({ errorMessage: String(error), errorType: error.name }));
  }
}
