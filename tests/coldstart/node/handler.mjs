// What Petrel's `send` does with one text message to one person, written as one would in Node: clients made once, what
// can run side by side does, every read strongly consistent.

import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi";
import {
  BatchGetItemCommand, DynamoDBClient, GetItemCommand, PutItemCommand, QueryCommand,
} from "@aws-sdk/client-dynamodb";

const env = process.env;
const messages = env.PETREL_MESSAGES_TABLE;
const conversations = env.PETREL_CONVERSATIONS_TABLE;
const connections = env.PETREL_CONNECTIONS_TABLE;
const dynamo = new DynamoDBClient({ maxAttempts: 3 });
const gateway = new ApiGatewayManagementApiClient({ endpoint: env.PETREL_WEBSOCKET_ENDPOINT, maxAttempts: 2 });

/** The entries that match, oldest first. */
async function read(condition, values, newestFirst) {
  const entries = [];
  let from;
  do {
    const page = await dynamo.send(new QueryCommand({
      TableName: messages, ConsistentRead: true, ScanIndexForward: !newestFirst, Limit: 200, ExclusiveStartKey: from,
      KeyConditionExpression: condition, ExpressionAttributeNames: { "#c": "conversation_id", "#seq": "seq" },
      ExpressionAttributeValues: values,
    }));
    entries.push(...page.Items);
    from = page.LastEvaluatedKey;
  } while (from);
  return newestFirst ? entries.reverse() : entries;
}

/** Stores the message once, at the next place, and returns its entry. */
async function store(sender, frame, conversation, tail) {
  for (let attempt = 0; attempt < 12; attempt++) {
    const stored = tail.find((entry) => entry.mid.S === frame.message_id && entry.u.S === sender);
    if (stored) return [stored, true];
    const last = tail.at(-1);
    const head = Number(last.seq.N);
    const entry = {
      conversation_id: { S: conversation }, seq: { N: String(head + 1) }, mid: { S: frame.message_id },
      u: { S: sender }, at: { N: String(Math.max(Date.now(), Number(last.at.N) + 1)) },
      o: { N: String(Number(last.o.N) + 1) }, c: { S: JSON.stringify(frame.content) },
    };
    try {
      await dynamo.send(new PutItemCommand({
        TableName: messages, Item: entry, ConditionExpression: "attribute_not_exists(#seq)",
        ExpressionAttributeNames: { "#seq": "seq" },
      }));
      return [entry, false];
    } catch (error) {
      if (error.name !== "ConditionalCheckFailedException") throw error;
    }
    const above = { ":c": { S: conversation }, ":after": { N: String(head) } };
    tail.push(...await read("#c = :c AND #seq > :after", above, false));
  }
  throw new Error("busy");
}

/** The connections of these users. */
async function connected(users) {
  const found = [];
  let wanted = { [connections]: { Keys: users.map((user) => ({ user_id: { S: user } })), ConsistentRead: true } };
  while (Object.keys(wanted).length) {
    const answer = await dynamo.send(new BatchGetItemCommand({ RequestItems: wanted }));
    for (const item of answer.Responses[connections]) {
      for (const [name, value] of Object.entries(item)) if (name.startsWith("d#")) found.push(value.M.id.S);
    }
    wanted = answer.UnprocessedKeys ?? {};
  }
  return found;
}

async function post(connection, frame) {
  try {
    await gateway.send(new PostToConnectionCommand({ ConnectionId: connection, Data: frame }));
  } catch (error) {
    if (error.name !== "GoneException") throw error;
  }
}

function answer(frame) {
  return { statusCode: 200, headers: {}, isBase64Encoded: false, body: JSON.stringify(frame) };
}

export async function handle(event) {
  const { authorizer: { user }, connectionId } = event.requestContext;
  const frame = JSON.parse(event.body);
  const peer = frame.to_user_id;
  const conversation = `d:${[user, peer].sort().join(":")}`;
  const from = Math.max(frame.seen, 1);
  const [tail, block] = await Promise.all([
    read("#c = :c AND #seq >= :from", { ":c": { S: conversation }, ":from": { N: String(from) } }, true),
    dynamo.send(new GetItemCommand({
      TableName: conversations, Key: { pk: { S: `u#${peer}` }, sk: { S: `b#${user}` } }, ConsistentRead: true,
    })),
  ]);
  if (block.Item) return answer({ type: "error", code: "not_a_member", message_id: frame.message_id });
  if (!tail.length || tail.some((entry, n) => Number(entry.seq.N) !== from + n)) {
    return answer({ type: "error", code: "sync_required", message_id: frame.message_id });
  }

  const [entry, duplicate] = await store(user, frame, conversation, tail);
  const place = { conversation_id: conversation, seq: Number(entry.seq.N) };
  const at = { message_id: entry.mid.S, sent_at: Number(entry.at.N) };
  const message = JSON.stringify({
    type: "message", ...place, ordinal: Number(entry.o.N), ...at, sender_id: user, content: JSON.parse(entry.c.S),
  });
  const sockets = await connected([user, peer]);
  await Promise.all(sockets.filter((id) => id !== connectionId).map((id) => post(id, message)));
  return answer({ type: "sent", ...place, ...at, duplicate });
}
