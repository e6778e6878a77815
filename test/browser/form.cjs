// A person fills the form by keyboard alone, sees errors beside their fields, submits, sees the answer
// arrive, replies, asks for a refund; axe-core looks for barriers on every page and in both colour
// schemes. Run by test/integration/browser_test.py, which gives
//   FTE_BASE      where the form is
//   FTE_SHOTS     a directory for screenshots
//   FTE_CHROMIUM  the browser (default /usr/bin/chromium)
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { test, before, after } = require("node:test");
const { chromium } = require("playwright-core");

const base = process.env.FTE_BASE;
const shots = process.env.FTE_SHOTS;
const axeSource = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const profile = fs.mkdtempSync(path.join(os.tmpdir(), "fte-chromium-"));
const wait = { timeout: 20000 };
let context;

before(async () => {
  context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.FTE_CHROMIUM || "/usr/bin/chromium",
    headless: true,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    ],
    viewport: { width: 1100, height: 900 },
    reducedMotion: "reduce",
  });
});

after(async () => {
  await context?.close();
  fs.rmSync(profile, { recursive: true, force: true });
});

// A page that fails the test for any script error, blocked resource or failed request.
async function open(url) {
  const page = await context.newPage();
  page.trouble = [];
  page.on("pageerror", (e) => page.trouble.push(String(e)));
  page.on("console", (m) => {
    // A page that says no has a status that Chromium puts into its console.
    if (["error", "warning"].includes(m.type()) && !/status of (422|409|404)/.test(m.text())) page.trouble.push(m.text());
  });
  page.on("requestfailed", (r) => {
    if (r.failure()?.errorText !== "net::ERR_ABORTED") page.trouble.push(`${r.url()} ${r.failure()?.errorText}`);
  });
  await page.goto(base + url, wait);
  return page;
}

// axe through the debugger's protocol: the page's own policy forbids scripts, and stays in force.
async function noBarriers(page, what) {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    const found = await page.evaluate(`${axeSource};
      axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })
        .then((r) => r.violations.map((v) => ({ id: v.id, help: v.help, nodes: v.nodes.map((n) => n.html + " " + n.failureSummary) })))`);
    assert.deepEqual(found, [], `${what}, ${scheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

const shot = (page, name) => page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });
const focused = (page) => page.evaluate("document.activeElement.id || document.activeElement.tagName + ':' + document.activeElement.textContent.trim().slice(0, 40)");

// Tab until the element with this id (or a description of it) has the focus.
async function tabTo(page, what) {
  const seen = [];
  for (let i = 0; i < 25; i++) {
    await page.keyboard.press("Tab");
    const at = await focused(page);
    if (at.includes(what)) return;
    seen.push(at);
  }
  assert.fail(`Tab never came to ${what}: ${seen.join(", ")}`);
}

async function settled(page) {
  await page.waitForFunction(() => {
    const tone = document.querySelector("section[role=status]")?.dataset.tone;
    return tone === "answered" || tone === "escalated";
  }, null, wait);
}

test("a person asks by keyboard alone, is answered, and writes back", async () => {
  const page = await open("/");
  await noBarriers(page, "the form");
  await shot(page, "form");

  await tabTo(page, "name");
  await page.keyboard.type("Zoë Ångström");
  await tabTo(page, "email");
  await page.keyboard.type("not an address");
  await tabTo(page, "BUTTON:Send");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#message-fault", wait);

  assert.equal(await page.inputValue("#name"), "Zoë Ångström", "what was typed is kept");
  assert.equal(await page.getAttribute("#email", "aria-invalid"), "true");
  for (const field of ["email", "message"]) {
    const fault = await page.locator(`#${field}-fault`).boundingBox();
    const input = await page.locator(`#${field}`).boundingBox();
    assert.ok(fault.y >= input.y && fault.y - (input.y + input.height) < 30, `the fault stands right below ${field}`);
    assert.match(await page.getAttribute(`#${field}`, "aria-describedby"), new RegExp(`${field}-fault`));
  }
  assert.match(await focused(page), /SECTION:Please look at 2 fields/, "the list of faults has the focus");
  await noBarriers(page, "the form with faults");
  await shot(page, "form-faults");

  // From the list to the field: a link each.
  await tabTo(page, "The e-mail address");
  await page.keyboard.press("Enter");
  assert.equal(await focused(page), "email");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("zoe@example.org");
  await tabTo(page, "message");
  await page.keyboard.type("How do I write my own actor?");
  await tabTo(page, "BUTTON:Send");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/support\/status\//, wait);

  await settled(page);
  assert.equal(await page.getAttribute("section[role=status]", "data-tone"), "answered");
  assert.match(await page.textContent("hgroup"), /TKT-[0-9A-Z]{6}/);
  const answer = page.locator("article[data-direction=outbound]");
  assert.equal(await answer.count(), 1);
  assert.ok((await answer.locator("footer li").count()) >= 1, "the answer names its source");
  await noBarriers(page, "the answer");
  await shot(page, "answer");

  await tabTo(page, "message");
  await page.keyboard.type("And how do I change a setting?\n\u05e9\u05dc\u05d5\u05dd \u{1f44d}\u{1f3fd} <b>not bold</b>");
  await tabTo(page, "BUTTON:Send");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll("article[data-direction=inbound]").length === 2, null, wait);
  await settled(page);
  const mine = page.locator("article[data-direction=inbound]").nth(1);
  assert.match(await mine.textContent(), /<b>not bold<\/b>/);
  assert.equal(await mine.locator("b").count(), 0);
  await shot(page, "reply");
  assert.deepEqual(page.trouble, []);
  await page.close();
});

test("a request for a refund is given to a person, and the page says so", async () => {
  const page = await open("/");
  await page.fill("#name", "Ann");
  await page.fill("#email", "ann.refund@example.org");
  await page.fill("#message", "I want a refund");
  await page.click("button");
  await settled(page);
  assert.equal(await page.getAttribute("section[role=status]", "data-tone"), "escalated");
  assert.match(await page.textContent("section[role=status]"), /Refunds .* are decided by a person/);
  assert.equal(await page.locator("article[data-direction=outbound]").count(), 0);
  await noBarriers(page, "the escalation");
  await shot(page, "escalation");
  assert.deepEqual(page.trouble, []);
  await page.close();
});

test("sending the same page twice is one request; changing it is told", async () => {
  const page = await open("/");
  await page.fill("#name", "Ann");
  await page.fill("#email", "ann.twice@example.org");
  await page.fill("#message", "How do I change a setting?");
  await page.click("button");
  await page.waitForURL(/\/support\/status\//, wait);
  const first = new URL(page.url()).pathname;
  await page.goBack(wait);
  await page.click("button");
  await page.waitForURL(/\/support\/status\//, wait);
  assert.equal(new URL(page.url()).pathname, first);
  await page.goBack(wait);
  await page.fill("#message", "Something else entirely");
  await page.click("button");
  await page.waitForSelector("section[role=alert]", wait);
  assert.equal(await page.inputValue("#message"), "Something else entirely");
  await noBarriers(page, "the conflict");
  await page.click("button");
  await page.waitForURL(/\/support\/status\//, wait);
  assert.notEqual(new URL(page.url()).pathname, first);
  await page.close();
});

test("hostile text is shown and does nothing", async () => {
  const page = await open("/");
  const text = `"><script>window.pwned = 1</script><img src=x onerror="window.pwned = 2">'; drop table messages; --`;
  await page.fill("#name", text.slice(0, 90));
  await page.fill("#email", "mallory@example.org");
  await page.fill("#message", text + "\n\u202egnol\u202c \u0627\u0644\u0639\u0631\u0628\u064a\u0629 " + "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}".repeat(20));
  await page.click("button");
  await page.waitForSelector("article[data-direction=inbound]", wait);
  assert.ok((await page.textContent("article[data-direction=inbound] p")).includes(text));
  assert.equal(await page.evaluate("window.pwned"), undefined);
  assert.equal(await page.locator("main script, main img").count(), 0);
  await shot(page, "hostile");
  assert.deepEqual(page.trouble, []);
  await page.close();
});

test("everything works on a telephone, in the dark, and without JavaScript", async () => {
  const browser = await chromium.launch({ executablePath: process.env.FTE_CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });
  try {
    const small = await browser.newContext({ viewport: { width: 360, height: 740 }, colorScheme: "dark", javaScriptEnabled: false });
    const page = await small.newPage();
    await page.goto(base + "/", wait);
    await page.screenshot({ path: path.join(shots, "phone-form.png"), fullPage: true });
    await page.fill("#name", "Ann");
    await page.fill("#email", "ann.phone@example.org");
    await page.fill("#message", "How do I write my own actor?");
    await page.click("button");
    await page.waitForSelector("section[data-tone=answered]", wait);
    await page.screenshot({ path: path.join(shots, "phone-answer.png"), fullPage: true });
    const wide = await small.newCDPSession(page).then((c) => c.send("Page.getLayoutMetrics"));
    assert.ok(wide.cssContentSize.width <= 360, `nothing is wider than the screen: ${wide.cssContentSize.width}`);
  } finally {
    await browser.close();
  }
});

test("an address that doesn't exist leads back to the form", async () => {
  const page = await open("/support/status/nothing");
  await noBarriers(page, "the page that isn't there");
  await page.click("text=Back to the form");
  await page.waitForSelector("#message", wait);
  assert.deepEqual(page.trouble, []);
  await page.close();
});
