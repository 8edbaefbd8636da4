// Nine clients of the official JavaScript SDK through the load balancer: says `subscribed` when all
// are, and ends well once each has heard a publication. Environment: URL, TOKENS (JSON).
const { Centrifuge } = require('centrifuge');
const { WebSocket } = require('ws');

const tokens = JSON.parse(process.env.TOKENS);
setTimeout(() => {
  console.error('not within 60 s');
  process.exit(1);
}, 60000);

const clients = tokens.map((token) => new Centrifuge(process.env.URL, { token, websocket: WebSocket }));
const subscriptions = clients.map((client) => client.newSubscription('chat:sdk'));
const heard = subscriptions.map((each) => new Promise((done) => each.on('publication', done)));
const subscribed = subscriptions.map((each) => new Promise((done) => each.on('subscribed', done)));
subscriptions.forEach((each) => each.subscribe());
clients.forEach((each) => each.connect());

Promise.all(subscribed)
  .then(() => console.log('subscribed'))
  .then(() => Promise.all(heard))
  .then(() => process.exit(0));
