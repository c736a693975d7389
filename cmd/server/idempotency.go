package main

import (
	"cmp"
	"errors"
	"log/slog"

	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/internal/idempotency"
	"github.com/m365backup/backupstorage/internal/idempotency/redisstore"
	"github.com/m365backup/backupstorage/service"
)

// The values of --idempotency.
const (
	idempotencyOff    = "off"
	idempotencyMemory = "memory"
	idempotencyRedis  = "redis"
)

// idempotencyConfig holds the flags of idempotency keys.
type idempotencyConfig struct {
	Mode        string `name:"idempotency" placeholder:"WHERE" help:"where idempotency keys are kept: \"redis\", the Redis of --redis-url, \"memory\", for a desk: a restart forgets them, or \"off\": calls with a key are refused; the default is \"redis\" with --redis-url, else \"off\"" page:"where [idempotency keys](idempotency.md) are kept: ~redis~ (that of ~--redis-url~), ~memory~ (for a desk: a restart forgets them, and another replica does not know them), or ~off~: calls with a key are refused. Without it: ~redis~ with ~--redis-url~, else ~off~"`
	MinReplicas int    `name:"redis-min-replicas" default:"1" placeholder:"NUMBER" help:"how many replicas of Redis must have a record before the write of an idempotency key is sent; 0 needs none: then a failover can lose the record" page:"how many replicas of Redis must have a record before the write of an [idempotency key](idempotency.md) is sent. ~0~ needs none: then a failover can lose the record"`
	NoEviction  bool   `name:"redis-noeviction" help:"Redis never evicts: for a user of Redis who may not use INFO, by which the server looks" page:"Redis never evicts, for a user of Redis who may not use INFO, by which the server looks. One that evicts would forget that a write was sent"`
}

// check fills in the default and refuses what contradicts it.
func (c *idempotencyConfig) check(withRedis bool) error {
	if c.Mode == "" {
		c.Mode = idempotencyOff
		if withRedis {
			c.Mode = idempotencyRedis
		}
	}
	switch {
	case c.MinReplicas < 0:
		return errors.New("--redis-min-replicas must not be negative")
	case c.Mode != idempotencyOff && c.Mode != idempotencyMemory && c.Mode != idempotencyRedis:
		return errors.New(`--idempotency must be "redis", "memory" or "off"`)
	case c.Mode == idempotencyRedis && !withRedis:
		return errors.New("--idempotency=redis needs --redis-url")
	}
	return nil
}

// openIdempotency returns where keys are kept.
func (c *config) openIdempotency(shared *sharedRedis, logger *slog.Logger) service.Idempotency {
	of := service.Idempotency{Upstream: c.endpointForPeople(), Application: c.Credential.ClientID}
	if c.GraphEndpoint == onEmulator {
		of.Application = cmp.Or(of.Application, emulator.DefaultApp)
	}
	switch c.Idempotency.Mode {
	case idempotencyMemory:
		logger.Warn("idempotency keys are kept in memory: a restart forgets them, and another replica does not know them")
		of.Keys = idempotency.New(idempotency.NewMemory())
	case idempotencyRedis:
		shared.records = redisstore.New(shared.client, redisstore.Options{
			MinReplicas: c.Idempotency.MinReplicas, NoEviction: c.Idempotency.NoEviction, Logger: logger,
		})
		of.Keys = idempotency.New(shared.records)
	}
	return of
}
