// Two people in the chat page, each in a tab of a real browser: both see who is there, one types and the other reads it.
//
//     node chat.mjs http://127.0.0.1:8080/ picture.png
//
// Prints `ok`, or `error:` and what did not happen, and then leaves with 1. CHROMIUM names another browser program.

import { chromium } from 'playwright-core';

const [url, picture] = process.argv.slice(2);
// The limit for whatever is waited for; a page that works needs a fraction of it.
const LIMIT = 20_000;
// Markup in a message must be shown, not obeyed.
const MESSAGE = 'hello from the first tab <b>& "quoted"</b> \u{1F3B2}';

/** Opens the page as `name` and enters the room. What goes wrong inside the page is collected in `faults`. */
async function join(context, name, faults) {
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT);
  page.on('pageerror', (error) => faults.push(`${name}: ${error.message}`));
  page.on('console', (line) => line.type() === 'error' && faults.push(`${name}: ${line.text()}`));
  await page.goto(url);
  await page.fill('#name', name);
  await page.click('#join');
  await sees(page, '#who', name);
  return page;
}

/** Waits until `where` shows `text`. */
async function sees(page, where, text) {
  await until(page, where, text, true);
}

/** Waits until `where` no longer shows `text`. */
async function misses(page, where, text) {
  await until(page, where, text, false);
}

async function until(page, where, text, wanted) {
  const look = ([where, text, wanted]) => document.querySelector(where)?.textContent.includes(text) === wanted;
  try {
    await page.waitForFunction(look, [where, text, wanted]);
  } catch {
    const shown = await page.textContent(where).catch(() => 'nothing');
    throw new Error(`${where} should ${wanted ? '' : 'not '}show ${JSON.stringify(text)}, it shows ${JSON.stringify(shown)}`);
  }
}

async function talk(browser) {
  const faults = [];
  const context = await browser.newContext();
  const ann = await join(context, 'ann', faults);
  const bob = await join(context, 'bob', faults);
  await sees(ann, '#who', 'bob');
  await sees(bob, '#who', 'ann');
  await ann.fill('#text', MESSAGE);
  await ann.click('#send');
  for (const page of [ann, bob]) {
    await sees(page, '#log', MESSAGE);
    await sees(page, '#log', 'ann');
  }
  if (picture) await bob.screenshot({ path: picture });
  await bob.click('#leave');
  await misses(ann, '#who', 'bob');
  if (faults.length > 0) throw new Error(faults.join('; '));
}

/** A name that is taken is refused in words. */
async function refused(browser) {
  const context = await browser.newContext();
  const first = await join(context, 'eve', []);
  const second = await context.newPage();
  second.setDefaultTimeout(LIMIT);
  await second.goto(url);
  await second.fill('#name', 'eve');
  await second.click('#join');
  const spoken = () => document.querySelector('#error')?.textContent.trim().length > 0;
  await second.waitForFunction(spoken).catch(() => {
    throw new Error('#error stays empty when a name is taken');
  });
  await first.click('#leave');
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
});
try {
  await talk(browser);
  await refused(browser);
  console.log('ok');
} catch (error) {
  console.log('error:', error.message);
  process.exitCode = 1;
} finally {
  await browser.close();
}
