package emulator

// restoreHandlers are the handlers of everything about restores, by operation.
func restoreHandlers() map[string]handler {
	hs := map[string]handler{
		"GET /restorePoints":                         listPoints,
		"POST /restorePoints/search":                 searchPoints,
		"GET /restoreSessions":                       listSessions,
		"GET /restoreSessions/{sessionId}":           getSession,
		"DELETE /restoreSessions/{sessionId}":        deleteSession,
		"POST /restoreSessions/{sessionId}/activate": activateSession,
		"GET /browseSessions":                        listBrowses("/browseSessions", OneDrive, SharePoint),
	}
	for w := Exchange; w <= SharePoint; w++ {
		sessions := "/" + w.info().name + "RestoreSessions"
		session := sessions + "/{sessionId}"
		requests := session + "/" + w.bulkType() + "s"
		hs["POST "+sessions] = createSession(w)
		hs["PATCH "+session] = patchSession(w)
		hs["GET "+session+"/"+w.artifacts(wholeUnit)] = listArtifacts(w, false)
		hs["GET "+requests] = listBulkRequests(w)
		hs["POST "+requests] = createBulkRequest(w)
		hs["GET "+requests+"/{requestId}"] = getBulkRequest(w)
		hs["DELETE "+requests+"/{requestId}"] = deleteBulkRequest(w)
		if w == Exchange {
			continue
		}
		hs["GET "+session+"/"+w.artifacts(granularItem)] = listArtifacts(w, true)
		browses := "/" + w.info().name + "BrowseSessions"
		browse := browses + "/{browseSessionId}"
		hs["GET "+browses] = listBrowses(browses, w)
		hs["POST "+browses] = createBrowse(w)
		hs["GET "+browse] = getBrowse(w)
		hs["POST "+browse+"/browse"] = startBrowse(w)
		hs["GET "+browse+"/browse"] = nextBrowse(w)
	}
	return hs
}

// serveWith gives routes their handlers. It panics when a handler is for no
// route, since only a mistake in the tables can cause that.
func serveWith(routes []*route, handlers map[string]handler) {
	left := len(handlers)
	for _, rt := range routes {
		if h, found := handlers[rt.operation()]; found {
			rt.handle = h
			left--
		}
	}
	if left != 0 {
		panic("emulator: a handler belongs to no route")
	}
}
