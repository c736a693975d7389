package credential_test

import (
	"io"
	"log/slog"

	"github.com/m365backup/backupstorage/graph/credential"
)

func logTo(log io.Writer) func(*credential.Options) {
	return func(o *credential.Options) { o.Logger = slog.New(slog.NewJSONHandler(log, nil)) }
}
