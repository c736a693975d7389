// Package reload reads files that change while the server runs: certificates, keys, secrets, rights.
//
// A Set is the files that only make sense together, such as a certificate and its key. One Reader looks at all sets of
// the process every few seconds. Whoever needs the newest content at once, such as a token request after a rotation,
// looks by Set.Read.
//
//	what it finds                                what happens
//	-------------------------------------------  ---------------------------------------------------------------------
//	the same contents                            nothing
//	other contents, which are good as a whole    they are in use from then on, and the log has a line
//	a file that is missing, cut or wrong         the last good contents stay in use; it is counted, and the log has a
//	                                             line when it begins and when its error changes
//	files that change while they are read        they are read again, so that a pair is never half old and half new
//	a disk that hangs                            the last good contents, after 1 s
//
// It compares contents and watches no files: a watch sees nothing of a volume of Kubernetes, whose files are symlinks
// through a folder that is itself a symlink, and that is what is replaced.
package reload
