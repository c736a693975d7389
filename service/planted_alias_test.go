//go:build !race

// With the race detector the planted faults are races, and fail the test that plants them.

package service_test

import (
	"testing"
	"time"

	"github.com/m365backup/backupstorage/graph"
	"github.com/m365backup/backupstorage/service"
	"github.com/m365backup/backupstorage/service/internal/wire"
)

// The hunt finds faults of this kind.
func TestPlantedAliasesAreFound(t *testing.T) {
	t.Run("a body that goes back before the token is sealed", func(t *testing.T) {
		found := hunt(t, time.Minute, func(o service.Options) (*service.Server, error) {
			return service.NewWithPlant(o, (*graph.Response).Release)
		})
		if found == "" {
			t.Error("it was not found")
		}
		t.Log(found)
	})
	t.Run("a response that goes back before it is written", func(t *testing.T) {
		defer wire.PlantEarlyPut()()
		found := hunt(t, time.Minute, withoutChance)
		if found == "" {
			t.Error("it was not found")
		}
		t.Log(found)
	})
}
