// Three people at the page, in a browser, on the server as it is built. `run` starts this. Waits for what it wants to
// see and never for a time; ends with 1 if that does not come.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { stripVTControlCharacters } from 'node:util';

const { CHROMIUM, MODULES, PETREL_BIN } = process.env;
const { chromium } = createRequire(`${MODULES}/`)('playwright-core');

/** For all of it, and for one thing to show. */
const MOST_MS = 55_000;
const PATIENCE_MS = 15_000;

const data = mkdtempSync(join(tmpdir(), 'petrel-page-'));
const env = { RUST_LOG: 'warn', ...process.env, PETREL_DATA: data };
let server;
let browser;
let step = 'the server and the browser start';
const people = new Map();
const complaints = [];

const seconds = () => (performance.now() / 1_000).toFixed(1).padStart(5);

function begin(next) {
  console.log(`${seconds()} s  ${step}`);
  step = next;
}

/** Resolves with where it listens. */
async function serve(addr) {
  server = spawn(PETREL_BIN, ['serve', '--addr', addr], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((_, fail) => {
    server.once('error', fail);
    server.once('exit', (code, signal) => fail(new Error(`the server ended: ${code ?? signal}`)));
  });
  ended.catch(() => {});
  const line = new Promise((said) => createInterface(server.stdout).once('line', said));
  return new URL((await Promise.race([line, ended])).split(' ').at(-1));
}

/** As a crash does. */
async function kill() {
  if (!server?.pid || server.exitCode !== null || server.signalCode !== null) return;
  const gone = once(server, 'exit');
  server.kill('SIGKILL');
  await gone;
}

/** Someone with a browser of his own. */
class Person {
  constructor(name, page) {
    Object.assign(this, { name, page });
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => complaints.push(`${name}: ${error.stack}`));
    page.on('console', (said) => said.text().startsWith('petrel:') && complaints.push(`${name}: ${said.text()}`));
    people.set(name, this);
  }

  static async of(name) { return new Person(name, await (await browser.newContext()).newPage()); }

  see(what, options) { return this.page.locator(what, options).filter({ visible: true }).first().waitFor(); }

  async fillIn(url) {
    await this.page.goto(url.href);
    await this.page.fill('#name', this.name);
    await this.page.click('#sign-in-form button');
  }

  async signIn(url) {
    await this.fillIn(url);
    await this.see('#me', { hasText: this.name });
    await this.online();
  }

  /** The line that says otherwise has gone. */
  online() { return this.page.locator('#status').waitFor({ state: 'hidden' }); }

  async say(...lines) {
    for (const line of lines) {
      await this.page.fill('#text', line);
      await this.page.press('#text', 'Enter');
    }
  }

  listed(title) {
    return this.page.locator('#list li', { has: this.page.locator(`.title:text-is(${JSON.stringify(title)})`) });
  }

  open(title) { return this.listed(title).click(); }

  bubble(line) {
    return this.page.locator('.message', { has: this.page.locator(`.text:text-is(${JSON.stringify(line)})`) });
  }

  reads(...lines) { return Promise.all(lines.map((line) => this.bubble(line).waitFor())); }
  tick(line, state) { return this.bubble(line).locator(`.tick[data-state="${state}"]`).waitFor(); }

  /** Everything in the open conversation, once and in this order. */
  async holds(...lines) {
    await this.reads(...lines);
    const held = await this.page.locator('#entries .message .text').allTextContents();
    if (`${held}` !== `${lines}`) throw new Error(`${this.name} holds ${held}, not ${lines}`);
  }
}

async function chat() {
  const url = await serve('127.0.0.1:0');
  // Another name of the same server, as a page elsewhere could give itself one.
  const args = ['--no-proxy-server', '--host-resolver-rules=MAP elsewhere.test 127.0.0.1'];
  browser = await chromium.launch({ executablePath: CHROMIUM, args });

  begin('a message waits for someone who is not there, who gets it and reads it');
  const ana = await Person.of('ana');
  await ana.signIn(url);
  await ana.page.fill('#peer', 'bo');
  await ana.page.click('#start button');
  await ana.say('hello');
  await ana.tick('hello', 'sent');
  const bo = await Person.of('bo');
  await bo.signIn(url);
  await bo.listed('ana').locator('.badge', { hasText: '1' }).waitFor();
  await ana.tick('hello', 'delivered');
  await bo.open('ana');
  await bo.holds('hello');
  await ana.tick('hello', 'read');

  begin('who types is shown, until it is said');
  await bo.page.locator('#text').pressSequentially('hello yourself');
  await ana.see('#typing', { hasText: 'bo is typing…' });
  await bo.page.press('#text', 'Enter');
  await ana.holds('hello', 'hello yourself');
  await ana.page.locator('#typing:empty').waitFor({ state: 'attached' });
  await bo.tick('hello yourself', 'read');

  begin('a group of three, one of whom comes late');
  await ana.page.click('#new-group');
  await ana.page.fill('#group-name', 'Team');
  await ana.page.fill('#group-members', 'bo, cy');
  await ana.page.click('#group-form button.primary');
  await ana.see('#title', { hasText: 'Team' });
  await ana.say('all of you');
  await bo.open('Team');
  await bo.holds('all of you');
  await bo.see('#entries .system', { hasText: 'ana created “Team”' });
  await bo.see('#entries .who', { hasText: 'ana' });
  const cy = await Person.of('cy');
  await cy.signIn(url);
  await cy.open('Team');
  await cy.holds('all of you');
  await cy.say('here I am');
  await Promise.all([ana, bo, cy].map((person) => person.holds('all of you', 'here I am')));

  begin('the server crashes: what is said meanwhile waits, and arrives once');
  await ana.open('bo');
  await bo.open('ana');
  await kill();
  await Promise.all([ana, bo].map((person) => person.see('#status', { hasText: 'Offline' })));
  await ana.say('are you', 'still there?');
  await ana.tick('are you', 'pending');
  await serve(url.host);
  await Promise.all([ana, bo].map((person) => person.online()));
  await ana.tick('still there?', 'read');
  await bo.say('yes');
  const all = ['hello', 'hello yourself', 'are you', 'still there?', 'yes'];
  await Promise.all([ana, bo].map((person) => person.holds(...all)));

  begin('a reload keeps who is there and what is open, whatever the address');
  await ana.page.reload();
  await ana.holds(...all);
  await ana.page.goto(`${url}#%E0`);
  await ana.page.reload();
  await ana.see('#me', { hasText: 'ana' });
  await ana.see('#none');
  await ana.open('bo');
  await ana.holds(...all);

  begin('a server that gives out no tokens says so, and one from its owner will do');
  const dee = await Person.of('dee');
  const refused = dee.page.waitForResponse('**/local/token');
  await dee.fillIn(new URL(`http://elsewhere.test:${url.port}`));
  await dee.see('#token-why', { hasText: (await (await refused).json()).message });
  await dee.page.goto(url.href);
  await dee.page.route('**/local/token', (route) => route.fulfill({ status: 403, json: { message: 'Not here.' } }));
  await dee.fillIn(url);
  await dee.see('#token-why', { hasText: 'Not here.' });
  await dee.page.fill('#token', execFileSync(PETREL_BIN, ['token', 'dee'], { env, encoding: 'utf8' }).trim());
  await dee.page.click('#sign-in-form button');
  await dee.see('#me', { hasText: 'dee' });
  await dee.online();

  begin('nothing went wrong inside');
  if (complaints.length) throw new Error(complaints.join('\n'));
}

/** What everyone sees when it fails. */
async function describe() {
  for (const { name, page } of people.values()) {
    const shown = await page.locator('body').innerText({ timeout: 1_000 }).catch((error) => error.message);
    console.error(`\n${name} sees:\n${shown.replace(/^/gm, '  ')}`);
  }
  if (complaints.length) console.error(`\n${complaints.join('\n')}`);
}

process.on('exit', () => server?.kill('SIGKILL'));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
// Whatever hangs then.
setTimeout(() => process.exit(1), MOST_MS + 4_000).unref();

const late = new Promise((_, fail) => setTimeout(() => fail(new Error(`not done after ${MOST_MS} ms`)), MOST_MS));
try {
  await Promise.race([chat(), late]);
  console.log(`${seconds()} s  ${step}`);
} catch (error) {
  console.error(`page/browser: failed: ${step}\n${stripVTControlCharacters(error.stack)}`);
  await describe();
  process.exitCode = 1;
}
await browser?.close();
await kill();
rmSync(data, { recursive: true });
process.exit();
