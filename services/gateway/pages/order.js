"use strict";
// Follows one order: what changed is announced, and the server draws the page anew.

const holder = document.getElementById("state");
const news = document.getElementById("news");
const connection = document.getElementById("connection");
const problem = document.getElementById("problem");
const words = document.getElementById("words");
const token = new URLSearchParams(location.search).get("token") ?? "";
const orderId = holder.querySelector("[data-order]").dataset.order;
const api = `/v1/orders/${orderId}`;

// The server's clock minus ours, so that a wrong clock on this device does not matter.
let skew = 0;
let stream = null;
// The newest version the stream has told of. What happened between drawing and listening counts, so it is compared.
let wanted = -1;
let announced = null;
let drawing = Promise.resolve();

function showLocalTimes() {
  for (const element of holder.querySelectorAll("time[data-local]")) {
    element.textContent = new Date(element.dateTime).toLocaleString(undefined, {
      weekday: "short", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
    });
  }
}

function shownVersion() {
  return Number(holder.querySelector("[data-order]").dataset.version);
}

function readState() {
  skew = Date.parse(holder.querySelector("[data-order]").dataset.serverTime) - Date.now();
  showLocalTimes();
  tick();
}

async function draw() {
  const focused = holder.contains(document.activeElement) ? document.activeElement.id : "";
  const response = await fetch(`/orders/${orderId}?part=state&token=${encodeURIComponent(token)}`);
  if (!response.ok) throw new Error(`answered ${response.status}`);
  const before = holder.querySelector("#headline").textContent;
  // This is our own server's page, escaped there; nothing else is ever put in as markup.
  holder.innerHTML = await response.text();
  readState();
  const after = holder.querySelector("#headline").textContent;
  if (after !== before) news.textContent = after.replace(/^[^\p{L}]+/u, "");
  if (focused) (document.getElementById(focused) ?? document.getElementById("main")).focus();
  if (shownVersion() < wanted) throw new Error("drawn from an older version");
}

function redraw() {
  drawing = drawing.then(draw).catch(() => setTimeout(redraw, 3000));
}

function tick() {
  const clock = holder.querySelector("[data-expires]");
  if (!clock || !clock.dataset.expires) return;
  const seconds = Math.floor((Date.parse(clock.dataset.expires) - Date.now() - skew) / 1000);
  if (seconds < 0) {
    if (clock.dataset.over === undefined) {
      clock.dataset.over = "";
      redraw();
    }
    return;
  }
  clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  for (const minutes of [5, 1]) {
    if (seconds === minutes * 60 && announced !== minutes) {
      announced = minutes;
      news.textContent = `${minutes === 1 ? "One minute" : `${minutes} minutes`} left to pay`;
    }
  }
}

function follow() {
  stream?.close();
  stream = new EventSource(`${api}/stream?token=${encodeURIComponent(token)}`);
  stream.addEventListener("order", (event) => {
    connection.hidden = true;
    wanted = Math.max(wanted, JSON.parse(event.data).version);
    if (wanted > shownVersion()) redraw();
  });
  stream.onopen = () => { connection.hidden = true; };
  stream.onerror = () => {
    connection.hidden = false;
    // A browser gives up for good after an error answer; we do not.
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  };
}

async function cancel(event) {
  event.preventDefault();
  if (!window.confirm("Cancel this order? Its places go back on sale.")) return;
  problem.hidden = true;
  const button = document.getElementById("cancel");
  if (button) button.disabled = true;
  try {
    const response = await fetch(api, { method: "DELETE", headers: { Authorization: `Bearer ${token}` } });
    if (!response.ok) {
      const answer = await response.json();
      problem.textContent = words.getAttribute(`data-${answer.code}`) ?? words.getAttribute("data-internal_error");
      problem.hidden = false;
    }
  } catch {
    problem.textContent = words.getAttribute("data-retrying");
    problem.hidden = false;
  }
  redraw();
}

holder.addEventListener("submit", (event) => {
  if (event.target.id === "cancel-form") cancel(event);
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && stream?.readyState === EventSource.CLOSED) follow();
});
readState();
setInterval(tick, 500);
follow();
