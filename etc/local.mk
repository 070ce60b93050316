# What is installed from here names the paths and the account of a package: they become those of this build.
confdir = $(sysconfdir)/postern
adapt = sed -e 's|/usr/sbin/postern|$(sbindir)/postern|g' -e 's|/etc/postern/|$(confdir)/|g' \
	-e 's|$(confdir)/postern\.conf|$(conf_path)|g' -e 's|/run/postern\.pid|$(pid_path)|g' \
	-e "s|/var/log/postern/\*|$$(dirname '$(error_log_path)')/*|" -e 's|/var/log/postern/error\.log|$(error_log_path)|g' \
	-e "s|^ReadWritePaths=.*|ReadWritePaths=-$$(dirname '$(pid_path)') -$$(dirname '$(error_log_path)')|" \
	-e 's|^user  nobody;|user  $(default_user);|'

# The configuration is installed once and then is the operator's: no later install touches it.
conffiles = postern.conf users
# To start it, and what belongs to that; the packages put them where they have an effect.
lifefiles = postern.init postern.service postern.default postern.logrotate
examplesdir = $(docdir)/examples
dist_examples_DATA = etc/nginx-mail-example.conf
EXTRA_DIST += $(conffiles:%=etc/%) $(lifefiles:%=etc/%)

install-data-local: install-conf install-lifefiles install-folders
install-conf:
	$(MKDIR_P) "$(DESTDIR)$(confdir)"
	umask 077; for file in $(conffiles); do \
		installed="$(DESTDIR)$(confdir)/$$file"; \
		test -e "$$installed" || $(adapt) "$(srcdir)/etc/$$file" >"$$installed" || exit 1; \
	done
	chmod go+r "$(DESTDIR)$(confdir)/postern.conf"
install-lifefiles:
	$(MKDIR_P) "$(DESTDIR)$(examplesdir)"
	for file in $(lifefiles); do \
		$(adapt) "$(srcdir)/etc/$$file" >"$(DESTDIR)$(examplesdir)/$$file" || exit 1; \
	done
	cd "$(DESTDIR)$(examplesdir)" && chmod 644 $(lifefiles) && chmod 755 postern.init

# The configuration goes with us unless somebody has changed it.
uninstall-local: uninstall-conf uninstall-lifefiles
uninstall-conf:
	for file in $(conffiles); do \
		installed="$(DESTDIR)$(confdir)/$$file"; \
		if $(adapt) "$(srcdir)/etc/$$file" | cmp -s - "$$installed"; then rm -f "$$installed"; fi; \
	done
uninstall-lifefiles:
	for file in $(lifefiles); do rm -f "$(DESTDIR)$(examplesdir)/$$file"; done
.PHONY: install-conf install-lifefiles install-folders uninstall-conf uninstall-lifefiles

# The folders of pid file and log; what lies in /run is made at every boot by whoever starts us.
install-folders:
	@for file in '$(pid_path)' '$(error_log_path)'; do \
		case $$file in \
		/run/*) ;; \
		*) $(MKDIR_P) "$(DESTDIR)$$(dirname "$$file")" || exit 1 ;; \
		esac; \
	done
