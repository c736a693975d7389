package graph

import (
	"context"
	"errors"

	"github.com/m365backup/backupstorage/graph/internal/share"
)

// permit waits until the request may be under way. The error is KindOverloaded when too many of
// its tenant wait already.
func (c *Client) permit(ctx context.Context, request *Request) (share.Permit, *Error) {
	kind := share.Write
	if request.Safe {
		kind = share.Read
	}
	permit, err := c.tenants.Enter(ctx, request.Tenant, kind)
	switch {
	case err == nil:
		return permit, nil
	case errors.Is(err, share.ErrOverloaded):
		return permit, &Error{Kind: KindOverloaded, Err: err}
	}
	return permit, contextError(ctx, err, false)
}
