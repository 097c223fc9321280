// An extension of soul: makes its one connection sync every commit, and says what SQLite answers to that.
module.exports = {
  full: {
    method: 'GET',
    path: '/synchronous-full',
    handler: (request, response, db) => {
      const asItCame = db.pragma('synchronous', { simple: true });
      db.pragma('synchronous = FULL');
      response.json({ asItCame, now: db.pragma('synchronous', { simple: true }) });
    },
  },
};
