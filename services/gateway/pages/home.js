"use strict";
// Buying without leaving the page: lost connections are retried under one key, so that it stays one order.

const words = document.getElementById("words");
const say = (code) => words.getAttribute(`data-${code}`) ?? words.getAttribute("data-internal_error");
const RETRY_FOR_MS = 120000;
const REFRESH_MS = 5000;

function money(kobo, currency) {
  if (kobo === 0) return "Free";
  const digits = kobo % 100 === 0 ? 0 : 2;
  const number = (kobo / 100).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return currency === "NGN" ? `₦${number}` : `${currency} ${number}`;
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (octet) => octet.toString(16).padStart(2, "0")).join("");
}

function showLocalTimes(root) {
  for (const element of root.querySelectorAll("time[data-local]")) {
    const when = new Date(element.dateTime);
    element.textContent = when.toLocaleString(undefined, {
      weekday: "short", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
    });
  }
}

function quantityOf(input) {
  const quantity = Number(input.value);
  return input.disabled || !Number.isInteger(quantity) ? 0 : quantity;
}

// A thumb hits a button more easily than it replaces a 0. Keyboards have the arrow keys, so no extra stops for them.
function addSteps(input) {
  const holder = document.createElement("span");
  holder.className = "stepper";
  const label = input.labels[0].textContent;
  const step = (sign, name, change) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "step", textContent: sign, tabIndex: -1, ariaLabel: `${name} ${label}` });
    button.addEventListener("click", () => {
      if (input.disabled) return;
      change();
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
    return button;
  };
  input.replaceWith(holder);
  holder.append(step("−", "One fewer of", () => input.stepDown()), input, step("+", "One more of", () => input.stepUp()));
  input.addEventListener("focus", () => input.select());
}

class CheckoutForm {
  constructor(form) {
    this.form = form;
    this.currency = form.dataset.currency;
    this.button = form.querySelector("[data-buy]");
    this.messageBox = form.querySelector("[data-message]");
    this.confirmBox = form.querySelector("[data-confirm]");
    // The key belongs to one body: another body is another order.
    this.sent = null;
    for (const input of form.querySelectorAll(".quantity")) addSteps(input);
    form.addEventListener("input", () => {
      this.confirm(false);
      this.message(null);
      this.showTotal();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.buy();
    });
    this.showTotal();
  }

  items() {
    return [...this.form.querySelectorAll(".tier[data-tier]")]
      .map((tier) => ({ tier_id: tier.dataset.tier, quantity: quantityOf(tier.querySelector(".quantity")), price: Number(tier.dataset.price) }))
      .filter((item) => item.quantity > 0);
  }

  total() {
    return this.items().reduce((sum, item) => sum + item.quantity * item.price, 0);
  }

  showTotal() {
    const output = this.form.querySelector("[data-total]");
    if (output) output.textContent = this.items().length ? `Total ${money(this.total(), this.currency)}` : "";
  }

  message(text, { focus = true } = {}) {
    this.messageBox.textContent = text ?? "";
    this.messageBox.hidden = !text;
    if (text && focus) this.messageBox.focus();
  }

  // While the buyer decides about a new price there is nothing to buy: that would be a second order.
  confirm(isOpen) {
    this.confirmBox.hidden = !isOpen;
    this.form.querySelector(".buy").hidden = isOpen;
  }

  busy(isBusy) {
    this.button.disabled = isBusy;
    this.button.textContent = isBusy ? "One moment…" : "Buy";
  }

  async buy() {
    this.message(null);
    const items = this.items();
    if (!items.length) return this.message(say("nothing_chosen"));
    const shown = this.total();
    const body = JSON.stringify({ items: items.map(({ tier_id, quantity }) => ({ tier_id, quantity })), email: this.form.elements.email.value.trim() });
    if (this.sent !== null && this.sent !== body) this.form.elements.key.value = newKey();
    this.sent = body;
    this.busy(true);
    try {
      const answer = await this.send(body);
      if (answer === null) return this.message(say("unavailable"));
      // From here the key has done its work; coming back to this page and buying again is another order.
      this.form.elements.key.value = newKey();
      this.sent = null;
      if (answer.status === 201 || answer.status === 202) return this.go(answer.document, shown);
      this.message(this.explain(answer.document));
      refresh();
    } finally {
      this.busy(false);
    }
  }

  // The answer, or null when there was none in all our tries. The same key every time.
  async send(body) {
    const until = Date.now() + RETRY_FOR_MS;
    for (let pause = 1000; ; pause = Math.min(pause * 2, 8000)) {
      try {
        const response = await fetch("/v1/checkout", {
          method: "POST",
          headers: { "Content-Type": "application/json", "Idempotency-Key": this.form.elements.key.value, Prefer: "wait=10" },
          body,
        });
        if (![429, 500, 502, 503, 504].includes(response.status)) {
          return { status: response.status, document: await response.json() };
        }
      } catch {
        // The network; whether the request arrived is unknown, and the key makes asking again safe.
      }
      if (Date.now() + pause > until) return null;
      this.message(say("retrying"), { focus: false });
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  explain(document) {
    if (document.code === "invalid" && (document.errors ?? []).every((error) => error.field.startsWith("email"))) return say("email");
    return say(document.code);
  }

  go(order, shown) {
    const page = `/orders/${encodeURIComponent(order.order_id)}?token=${encodeURIComponent(order.order_token)}`;
    if (order.total_kobo === undefined || order.total_kobo === null || order.total_kobo === shown) {
      location.assign(page);
      return;
    }
    this.confirmBox.querySelector("[data-confirm-text]").textContent =
      `${say("price_changed")} It is now ${money(order.total_kobo, order.currency)}; you saw ${money(shown, this.currency)}. Your places are held.`;
    this.confirmBox.querySelector("[data-confirm-go]").href = page;
    this.confirmBox.querySelector("[data-confirm-cancel]").onclick = async () => {
      await fetch(`/v1/orders/${order.order_id}`, { method: "DELETE", headers: { Authorization: `Bearer ${order.order_token}` } }).catch(() => null);
      location.assign(page);
    };
    this.message(null);
    this.confirm(true);
    this.confirmBox.focus();
  }
}

function leftText(tier) {
  const now = Date.now();
  if (tier.cancelled) return ["cancelled", "Cancelled"];
  if (tier.sale_starts_at && Date.parse(tier.sale_starts_at) > now) return ["early", null];
  if (tier.sale_ends_at && Date.parse(tier.sale_ends_at) <= now) return ["closed", "The sale is over"];
  if (tier.available > 0) return ["open", `${tier.available.toLocaleString("en")} left · at most ${tier.max_per_order} per order`];
  return ["gone", tier.held > 0 ? `None left now; ${tier.held} held by other buyers may come back` : "Sold out"];
}

function showTier(tier) {
  const row = document.querySelector(`[data-tier="${CSS.escape(tier.id)}"]`);
  if (!row) return;
  const [state, text] = leftText(tier);
  const left = row.querySelector("[data-left]");
  const price = money(tier.price_kobo, tier.currency);
  if (text !== null && left.textContent !== text) left.textContent = text;
  left.dataset.state = state;
  row.dataset.price = tier.price_kobo;
  row.querySelector("label").textContent = tier.name;
  row.querySelector("[data-show-price]").textContent = price;
  const input = row.querySelector(".quantity");
  // What somebody has typed is never taken away from them: the server decides.
  if (document.activeElement !== input && quantityOf(input) === 0) input.disabled = state !== "open";
  input.max = tier.max_per_order;
}

async function refresh() {
  if (document.hidden) return;
  try {
    const response = await fetch("/v1/events");
    if (!response.ok) return;
    for (const event of (await response.json()).events) event.tiers.forEach(showTier);
    forms.forEach((form) => form.showTotal());
  } catch {
    // Only for display; the next one may get through.
  }
}

showLocalTimes(document);
const forms = [...document.querySelectorAll("form[data-checkout]")].filter((form) => form.querySelector("[data-buy]")).map((form) => new CheckoutForm(form));
setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", refresh);
