// Looks at a page of dax-sim in Chromium: node check.mjs FOLDER PICTURES
//
// FOLDER holds compare.html and compare.json; screenshots and a PDF go to PICTURES. A check that
// has never failed is none: at the end two faults are planted, and each must be found.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [folder, pictures] = process.argv.slice(2).map(path => resolve(path));
mkdirSync(pictures, { recursive: true });
const html = readFileSync(join(folder, "compare.html"), "utf8");
const data = JSON.parse(readFileSync(join(folder, "compare.json"), "utf8"));
const address = pathToFileURL(join(folder, "compare.html")).href;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
let failures = 0;
const fail = what => { failures += 1; console.log(`FAILED: ${what}`); };

/// Opens the page, and gives what `look` finds, with what the page has said on the console.
async function open(url, { width, scheme, script = true }, look) {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    javaScriptEnabled: script,
  });
  const page = await context.newPage();
  const said = [];
  page.on("console", message => said.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", error => said.push(`error: ${error.message}`));
  await page.goto(url);
  const found = await look(page);
  await context.close();
  return { said, found };
}

/// What axe finds that is serious or critical.
async function violations(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, impact, nodes }) => `${impact} ${id}, ${nodes.length} times, first at ${nodes[0].target}`);
}

const number = value => Math.round(value).toLocaleString("en-US");

/// The tooltip of one marker of each plot says what the data say.
async function tooltips(page) {
  const plots = page.locator("figure svg.plot");
  const count = await plots.count();
  if (count === 0) fail("the page has no plot");
  for (let index = 0; index < count; index += 1) {
    const plot = plots.nth(index);
    // The tooltip opens when the pointer comes to a marker, and closes when the page scrolls: so the
    // pointer is elsewhere first, and the page has come to rest.
    await page.mouse.move(0, 0);
    await plot.scrollIntoViewIfNeeded();
    await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
    // One that no other marker covers.
    const at = await plot.evaluate(svg => {
      for (const hit of svg.querySelectorAll(".hit")) {
        const box = hit.getBoundingClientRect();
        const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
        if (document.elementFromPoint(x, y) === hit) return { x, y, result: hit.dataset.result };
      }
      return null;
    });
    if (at === null) { fail(`plot ${index} has no marker in reach`); continue; }
    await page.mouse.move(at.x, at.y);
    const said = await page.locator("#tip:visible").textContent({ timeout: 2000 }).catch(() => "nothing");
    const result = data.results[at.result];
    const expected = `${result.variant}, ${result.threads} thread${result.threads === 1 ? "" : "s"}\n`
      + `${number(result.ops_per_s.median)} operations/s, ${number(result.ops_per_s.min)} to ${number(result.ops_per_s.max)}`;
    if (!said.startsWith(expected)) fail(`plot ${index} says ${JSON.stringify(said)}, and the data ${JSON.stringify(expected)}`);
  }
  return count;
}

for (const width of [390, 900, 1400]) {
  for (const scheme of ["light", "dark"]) {
    const { said } = await open(address, { width, scheme }, async page => {
      await page.screenshot({ path: join(pictures, `${width}-${scheme}.png`), fullPage: true });
      const [needed, room] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      if (needed > room) fail(`${width} ${scheme}: the page is ${needed} px wide`);
      (await violations(page)).forEach(found => fail(`${width} ${scheme}: ${found}`));
    });
    said.forEach(message => fail(`${width} ${scheme}: the console says ${message}`));
  }
}

const { found: plots, said } = await open(address, { width: 1400, scheme: "light" }, async page => {
  const plots = await tooltips(page);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
  const saved = JSON.parse(readFileSync(await download.path(), "utf8"));
  if (JSON.stringify(saved) !== JSON.stringify(data)) fail("the data that the page saves are others");
  const pdf = join(pictures, "page.pdf");
  await page.pdf({ path: pdf, format: "A4", printBackground: true });
  if (statSync(pdf).size < 10_000) fail("the PDF is empty");
  return plots;
});
said.forEach(message => fail(`the console says ${message}`));

await open(address, { width: 900, scheme: "light", script: false }, async page => {
  const titles = await page.locator(".hit title").count();
  const hits = await page.locator(".hit").count();
  if (hits === 0 || titles !== hits) fail(`without the script ${titles} of ${hits} markers have a title`);
});

/// The page with a fault in it.
const planted = fault => {
  const path = join(pictures, "planted.html");
  writeFileSync(path, html.replace("</body>", `${fault}</body>`));
  return pathToFileURL(path).href;
};
const pale = planted("<style>.note { color: #cccccc !important; }</style>");
const { found: seen } = await open(pale, { width: 1400, scheme: "light" }, violations);
if (!seen.some(found => found.includes("color-contrast"))) fail("a planted colour without contrast is not found");
const loud = planted("<script>console.error('planted')</script>");
const { said: heard } = await open(loud, { width: 1400, scheme: "light" }, async () => {});
if (!heard.includes("error: planted")) fail("a planted console.error is not found");

await browser.close();
console.log(`${plots} plots, 3 widths in light and dark; pictures in ${pictures}`);
process.exit(failures === 0 ? 0 : 1);
